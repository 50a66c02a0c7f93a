r"""How much AP detectors lose on photos that are blurred, gray, dark, turned and the like.

    python benchmarks/changed_photos.py v2 runs/v2-1/best.safetensors v1.pth --data faces --names dev.txt \
        [--scale 0.5] [--changes as-is gray turned-15]

All photos are shrunk first (`--scale`), so that faces which strong compression has blurred become small
whole ones. AP of faces from 50, 30 and 10 pixels of what is then seen, protocol "original"; prints a table
in Markdown.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ffcore import FaceDetector
from ffcore.data import LabelledFaces, read_sample
from ffcore.data.annotations import AnnotatedImage
from ffcore.data.augment import turned_image
from ffcore.data.reading import read_annotations
from ffcore.evaluation.predictions import predictions_from_faces
from ffcore.evaluation.protocols import PROTOCOLS
from ffcore.evaluation.scoring import evaluate
from ffcore.results import ImageFaces
from ffcore.training.validation import ground_truth_of

Image = NDArray[np.uint8]
Change = Callable[[Image, LabelledFaces], tuple[Image, LabelledFaces]]


def pixels(change: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> Change:
    """A change of pixels, 0 to 255, that leaves faces where they are."""

    def changed(image: Image, faces: LabelledFaces) -> tuple[Image, LabelledFaces]:
        return change(image.astype(np.float32)).round().clip(0, 255).astype(np.uint8), faces

    return changed


def gamma(power: float) -> Change:
    """Brighter (below 1) or darker, black and white as they are."""
    return pixels(lambda image: 255 * np.power(image / 255, np.float32(power)))


def gray(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """No colour, of the same lightness."""
    lightness: NDArray[np.float32] = image @ np.array([[0.114], [0.587], [0.299]], np.float32)
    return np.repeat(lightness, 3, axis=2)


def turned(degrees: float) -> Change:
    """The whole photo turned counterclockwise, on a canvas that holds all of it."""

    def changed(image: Image, faces: LabelledFaces) -> tuple[Image, LabelledFaces]:
        height, width = image.shape[:2]
        matrix = np.asarray(cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0), np.float64)
        cos, sin = np.abs(matrix[0, :2])
        columns, rows = round(width * cos + height * sin), round(width * sin + height * cos)
        matrix[:, 2] += (columns - width) / 2, (rows - height) / 2
        return turned_image(image, matrix, width=columns, height=rows), faces.turned(matrix)

    return changed


CHANGES: dict[str, Change] = {
    "as-is": lambda image, faces: (image, faces),
    "blurred": pixels(lambda image: np.asarray(cv2.GaussianBlur(image, (0, 0), 1.0), np.float32)),
    "gray": pixels(gray),
    "dark": gamma(2.0),
    "light": gamma(0.5),
    "flat": pixels(lambda image: (image - image.mean()) * 0.4 + image.mean()),
    "red": pixels(lambda image: image * np.array([0.6, 0.8, 1.2], np.float32)),
    "turned-15": turned(15),
    "turned-30": turned(30),
}


def average_precision(
    detectors: Sequence[FaceDetector], images: Sequence[AnnotatedImage], change: Change, scale: float
) -> list[list[float]]:
    """AP of each detector by subset, 0 to 1, on photos that are shrunk and then changed."""
    truth: list[AnnotatedImage] = []
    results: list[list[ImageFaces]] = [[] for _ in detectors]
    for image in images:
        sample = read_sample(image, scale=scale)
        photo, faces = change(sample.image, sample.faces)
        truth.append(replace(image, faces=faces))
        for found, detector in zip(results, detectors, strict=True):
            found.append(ImageFaces(image.name, photo.shape[1], photo.shape[0], detector(photo)))
    labels = ground_truth_of(truth)
    scored = [evaluate(labels, predictions_from_faces(found, labels, missing="empty")) for found in results]
    return [[value for value in result.ap.values() if value is not None] for result in scored]


def main() -> None:
    """Measures all detectors on all changes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="+", help="files of weights, or names of shipped ones")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--names", type=Path)
    parser.add_argument("--scale", type=float, default=0.5)
    parser.add_argument("--changes", nargs="+", choices=CHANGES, default=list(CHANGES))
    options = parser.parse_args()
    images = read_annotations(options.data, None, names=options.names, check="header").images
    detectors = [
        FaceDetector(FaceDetector.load(model).backend, PROTOCOLS["original"]) for model in options.models
    ]
    print("| |", " | ".join(Path(model).name for model in options.models), "|")
    print("|---" * (len(detectors) + 1) + "|")
    for name in options.changes:
        scores = average_precision(detectors, images, CHANGES[name], options.scale)
        cells = [" / ".join(f"{100 * value:.1f}" for value in ap) for ap in scores]
        print(f"| {name} |", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
