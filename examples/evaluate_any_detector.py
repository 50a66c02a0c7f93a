"""Measure a detector that this package knows nothing of, on photos and faces of your own.

    python examples/evaluate_any_detector.py [--yunet face_detection_yunet.onnx] [--out FOLDER]

A detector is any function from a photo to rows ``x y w h score``. Its rows go into text files of the WIDER
FACE layout, which tools in every language can write, and these are scored, as ``featherface eval-widerface
--ground-truth faces.json --predictions FOLDER`` does. Here it is the shipped v2, and OpenCV's YuNet if its
file is given.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from train_on_your_photos import FACES, PHOTOS, write_labels

from ffcore import FaceDetector, evaluate, read_ground_truth, read_image, read_predictions
from ffcore.results import to_opencv

Detector = Callable[[np.ndarray], np.ndarray]


def shipped() -> Detector:
    """The weights of the package, with a low score so that the whole curve is measured."""
    detector = FaceDetector.load("v2", score=0.02)
    return lambda photo: to_opencv(detector(photo))[:, [0, 1, 2, 3, 14]]


def yunet(model: Path) -> Detector:
    """OpenCV's own detector."""

    def detect(photo: np.ndarray) -> np.ndarray:
        size = (photo.shape[1], photo.shape[0])
        rows = cv2.FaceDetectorYN.create(str(model), "", size, 0.02, 0.4).detect(photo)[1]
        return np.zeros((0, 5)) if rows is None else rows[:, [0, 1, 2, 3, 14]]

    return detect


def main() -> None:
    """Runs the example."""
    parser = argparse.ArgumentParser(description="Measure any detector.")
    parser.add_argument("--yunet", type=Path, help="a YuNet file of OpenCV's model zoo")
    parser.add_argument("--out", type=Path, default=Path("measured"))
    options = parser.parse_args()

    detectors = {"v2": shipped()} | ({"yunet": yunet(options.yunet)} if options.yunet else {})
    labels = options.out / "faces.json"
    write_labels(labels)
    truth = read_ground_truth(labels)
    for name, detect in detectors.items():
        for photo in FACES:
            rows = detect(read_image(PHOTOS / photo))
            lines = [Path(photo).stem, str(len(rows)), *(" ".join(f"{v:.6g}" for v in row) for row in rows)]
            target = options.out / name / f"{Path(photo).stem}.txt"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text("\n".join(lines) + "\n", encoding="utf-8")
        result = evaluate(truth, read_predictions(options.out / name, truth))
        print(f"{name}: " + ", ".join(f"AP {subset.name} {subset.percent}" for subset in result.subsets))


if __name__ == "__main__":
    main()
