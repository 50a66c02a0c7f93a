"""Small photos with bright squares for faces, labelled as RetinaFace and as COCO, to try a training on.

python examples/toy_faces.py FOLDER [--photos 8]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

SIDE = 96


def write_photos(folder: Path, count: int = 8, *, seed: int = 0) -> Path:
    """Photos ``event/n.png`` below ``images``, one to three faces each; ``label.txt`` and ``faces.json``."""
    random = np.random.default_rng(seed)
    lines: list[str] = []
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number in range(count):
        image = random.integers(0, 60, (SIDE, SIDE, 3), dtype=np.uint8)
        name = f"event/{number}.png"
        lines.append(f"# {name}")
        images.append({"id": number, "file_name": name, "width": SIDE, "height": SIDE})
        for quarter in random.permutation(4)[: random.integers(1, 4)]:
            side = int(random.integers(20, 36))
            x, y = (int(v) for v in random.integers(2, 10, 2) + np.array([quarter % 2, quarter // 2]) * 46)
            cv2.rectangle(image, (x, y), (x + side, y + side), (200, 220, 210), -1)
            eye = side // 5
            points = [(x + eye, y + eye), (x + side - eye, y + eye), (x + side // 2, y + side // 2)]
            points += [(x + eye, y + side - eye), (x + side - eye, y + side - eye)]
            for point in points:
                cv2.circle(image, point, 2, (30, 20, 60), -1)
            marks = " ".join(f"{px:.1f} {py:.1f} 0.0" for px, py in points)
            lines.append(f"{x} {y} {side} {side} {marks} 0.9")
            face = {"id": len(annotations), "image_id": number, "category_id": 1, "bbox": [x, y, side, side]}
            annotations.append({**face, "keypoints": [value for px, py in points for value in (px, py, 2)]})
        path = folder / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), image)
    (folder / "label.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    document = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "face"}],
    }
    (folder / "faces.json").write_text(json.dumps(document), encoding="utf-8")
    return folder


def main() -> None:
    """Writes the photos."""
    parser = argparse.ArgumentParser(description="Draw a small data set.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--photos", type=int, default=8)
    options = parser.parse_args()
    print(write_photos(options.folder, options.photos))


if __name__ == "__main__":
    main()
