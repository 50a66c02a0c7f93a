"""Finds faces in a photo: python usage_example.py photo.jpg [copy-with-boxes.jpg].

Needs numpy, opencv-python-headless and onnxruntime, and the files that lie beside it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime

HERE = Path(__file__).parent
CONFIG: dict[str, Any] = json.loads((HERE / "deployment_config.json").read_text(encoding="utf-8"))


def anchor_table(height: int, width: int) -> Any:
    """Anchors in pixels, (A, 4): centre x, centre y, width, height; by level, row, column, size."""
    levels = []
    for stride, sizes in zip(CONFIG["anchors"]["strides"], CONFIG["anchors"]["min_sizes"], strict=True):
        rows, columns = -(-height // stride), -(-width // stride)
        y, x, size = np.meshgrid(np.arange(rows), np.arange(columns), sizes, indexing="ij")
        level = np.stack([(x + 0.5) * stride, (y + 0.5) * stride, size, size], axis=-1)
        levels.append(level.reshape(-1, 4).astype(np.float32))
    return np.concatenate(levels)


def suppress(boxes: Any, threshold: float) -> list[int]:
    """The boxes that remain when each removes the worse ones that overlap it; the best come first."""
    kept: list[int] = []
    areas = (boxes[:, 2] - boxes[:, 0] + 1) * (boxes[:, 3] - boxes[:, 1] + 1)
    left = np.arange(len(boxes))
    while len(left):
        best, rest = left[0], left[1:]
        kept.append(int(best))
        corner = np.maximum(boxes[best, :2], boxes[rest, :2])
        opposite = np.minimum(boxes[best, 2:], boxes[rest, 2:])
        shared = np.maximum(opposite - corner + 1, 0).prod(axis=1)
        left = rest[shared / (areas[best] + areas[rest] - shared) <= threshold]
    return kept


def detect(session: Any, photo: Any) -> tuple[Any, Any, Any]:
    """Boxes (N, 4) as x1 y1 x2 y2, scores (N,), landmarks (N, 5, 2), in pixels, the best first.

    Args:
        session: Of model.onnx.
        photo: (H, W, 3) uint8 BGR, as OpenCV reads it.
    """
    height, width = photo.shape[:2]
    pixels = photo.astype(np.float32) - np.array(CONFIG["input"]["mean"], np.float32)
    offsets, classes, points = session.run(
        CONFIG["outputs"], {CONFIG["input"]["name"]: pixels.transpose(2, 0, 1)[None]}
    )
    scores = classes[0, :, 1]
    chosen = np.flatnonzero(scores > CONFIG["score_threshold"])
    chosen = chosen[np.argsort(-scores[chosen], kind="stable")]
    offsets, points, scores = offsets[0, chosen], points[0, chosen], scores[chosen]

    anchors = anchor_table(height, width)[chosen]
    centre, size = anchors[:, :2], anchors[:, 2:]
    for_centre, for_size = CONFIG["anchors"]["variances"]
    sides = size * np.exp(offsets[:, 2:] * for_size)
    corner = centre + offsets[:, :2] * for_centre * size - sides / 2
    boxes = np.concatenate([corner, corner + sides], axis=1)
    landmarks = centre[:, None] + points.reshape(-1, 5, 2) * for_centre * size[:, None]
    kept = suppress(boxes, CONFIG["nms_threshold"])
    return boxes[kept], scores[kept], landmarks[kept]


def main() -> None:
    """Prints a line a face: x1 y1 x2 y2 score."""
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: python usage_example.py photo.jpg [copy-with-boxes.jpg]")
    photo = cv2.imread(sys.argv[1])
    if photo is None:
        sys.exit(f"{sys.argv[1]}: cannot be read as an image")
    session = onnxruntime.InferenceSession(str(HERE / "model.onnx"), providers=["CPUExecutionProvider"])
    boxes, scores, landmarks = detect(session, photo)
    for box, score, points in zip(boxes, scores, landmarks, strict=True):
        sys.stdout.write(" ".join(f"{value:.1f}" for value in box) + f" {score:.4f}\n")
        x1, y1, x2, y2 = (round(float(value)) for value in box)
        cv2.rectangle(photo, (x1, y1), (x2, y2), (0, 255, 0), 2)
        for x, y in points:
            cv2.circle(photo, (round(float(x)), round(float(y))), 2, (0, 0, 255), -1)
    if len(sys.argv) == 3:
        cv2.imwrite(sys.argv[2], photo)


if __name__ == "__main__":
    main()
