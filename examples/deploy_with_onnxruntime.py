"""Find faces in photos with NumPy, OpenCV and ONNX Runtime alone: nothing of this package is imported.

    python examples/deploy_with_onnxruntime.py MODEL.onnx FOLDER [--size 640] [--batch 8] > faces.jsonl

Copy this file to where faces are to be found, with an .onnx file: that of ``featherface export --model v2
--out v2.onnx``, or the one that lies in the installed package. Photos are shrunk into a square, so that they
can be run as batches. What comes out are boxes x1 y1 x2 y2, five landmarks and scores, in pixels of each
photo, one JSON record a line.
"""

from __future__ import annotations

import argparse
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}


class Detector:
    """A network in an ONNX file, with everything that the file says about itself."""

    def __init__(self, path: Path, size: int) -> None:
        options = onnxruntime.SessionOptions()
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # this rule would take the zero border of the published networks' pooling for one that is ignored
        self.session = onnxruntime.InferenceSession(
            str(path), options, disabled_optimizers=["Pad_Fusion"], providers=["CPUExecutionProvider"]
        )
        facts = self.session.get_modelmeta().custom_metadata_map
        self.mean = np.array(json.loads(f"[{facts['featherface.mean']}]"), np.float32)
        self.variances = json.loads(facts["featherface.variances"])
        self.score = float(facts.get("featherface.score_threshold", 0.5))
        strides, sides = (json.loads(facts[f"featherface.{key}"]) for key in ("strides", "min_sizes"))
        self.size = size
        self.anchors = np.array(
            [
                ((column + 0.5) * stride, (row + 0.5) * stride, side)
                for stride, level in zip(strides, sides, strict=True)
                for row, column in product(range(-(-size // stride)), repeat=2)
                for side in level
            ],
            np.float32,
        )

    def prepared(self, path: Path) -> tuple[np.ndarray, float] | None:
        """The photo in the top left corner of a square, and the factor between both; None if it is none."""
        photo = cv2.imread(str(path))
        if photo is None:
            return None
        height, width = photo.shape[:2]
        factor = min(self.size / height, self.size / width, 1.0)
        small = cv2.resize(photo, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        canvas = np.full((self.size, self.size, 3), np.round(self.mean), np.float32)
        canvas[: small.shape[0], : small.shape[1]] = small
        return canvas - self.mean, factor

    def __call__(self, images: list[np.ndarray], score: float, nms: float) -> list[dict[str, np.ndarray]]:
        """Boxes, scores and landmarks of each square, in its pixels."""
        batch = np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2))
        found = []
        for boxes, classes, points in zip(
            *self.session.run(None, {self.session.get_inputs()[0].name: batch}), strict=True
        ):
            chosen = classes[:, 1] > score
            centres, sides = self.anchors[chosen, :2], self.anchors[chosen, 2:]
            small, large = self.variances
            centre = centres + boxes[chosen, :2] * small * sides
            extent = sides * np.exp(boxes[chosen, 2:] * large)
            corners = np.concatenate((centre - extent / 2, centre + extent / 2), axis=1)
            marks = centres[:, None] + points[chosen].reshape(-1, 5, 2) * small * sides[:, None]
            kept = suppressed(corners, classes[chosen, 1], nms)
            found.append(
                {"boxes": corners[kept], "scores": classes[chosen, 1][kept], "landmarks": marks[kept]}
            )
        return found


def suppressed(boxes: np.ndarray, scores: np.ndarray, threshold: float) -> list[int]:
    """Of boxes that overlap by more than the threshold, the best one, best first."""
    order = list(np.argsort(-scores, kind="stable"))
    sides = boxes[:, 2:] - boxes[:, :2] + 1
    kept: list[int] = []
    while order:
        best, rest = order[0], np.array(order[1:], int)
        kept.append(best)
        low, high = np.maximum(boxes[best, :2], boxes[rest, :2]), np.minimum(boxes[best, 2:], boxes[rest, 2:])
        shared = np.prod(np.maximum(high - low + 1, 0), axis=1)
        union = np.prod(sides[best]) + np.prod(sides[rest], axis=1) - shared
        order = list(rest[shared / union <= threshold])
    return kept


def main() -> None:
    """Runs the example."""
    parser = argparse.ArgumentParser(description="Find faces in a folder of photos.")
    parser.add_argument("model", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=640)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--score", type=float, help="by default what the file recommends")
    parser.add_argument("--nms", type=float, default=0.4)
    options = parser.parse_args()

    detector = Detector(options.model, options.size)
    score = detector.score if options.score is None else options.score
    photos = sorted(path for path in options.folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    with ThreadPoolExecutor(2) as readers:
        for start in range(0, len(photos), options.batch):
            paths = photos[start : start + options.batch]
            ready = list(zip(paths, readers.map(detector.prepared, paths), strict=True))
            for path in (path for path, read in ready if read is None):
                print(f"{path}: cannot be read", file=sys.stderr)
            good = [(path, *read) for path, read in ready if read is not None]
            if not good:
                continue
            found = detector([image for _, image, _ in good], score, options.nms)
            for (path, _, factor), faces in zip(good, found, strict=True):
                in_photo = {"boxes": factor, "scores": 1.0, "landmarks": factor}
                record = {
                    name: np.round(values.astype(float) / in_photo[name], 3).tolist()
                    for name, values in faces.items()
                }
                print(json.dumps({"image": str(path), **record}))


if __name__ == "__main__":
    main()
