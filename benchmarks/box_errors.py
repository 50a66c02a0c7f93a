r"""How far boxes are off, by the height of faces: centres in pixels, sides as logarithms.

    python benchmarks/box_errors.py v2 --data faces --names dev.txt [--scale 0.5] [--mirrored]

To each labelled face belongs the surest box, protocol "original", that shares a quarter of its area or more.
An error that changes its sign with `--mirrored` is one of the labels: in the mirror a label left of its face
lies right of it, and a network that learnt from as many mirrored photos as others lies between. Prints
medians and standard deviations as a table in Markdown.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ffcore import FaceDetector
from ffcore.data import read_sample
from ffcore.data.annotations import AnnotatedImage
from ffcore.data.reading import read_annotations
from ffcore.evaluation.protocols import PROTOCOLS
from ffcore.geometry.boxes import pairwise_iou

EDGES = (8, 10, 12, 15, 20, 30, 50, 100, 1000)
"""Of the bands of height, in pixels of what is seen."""
LEAST_SHARED = 0.25
"""IoU from which a box is taken for that of a face."""


def errors(
    detector: FaceDetector, images: Iterable[AnnotatedImage], *, scale: float, mirrored: bool
) -> NDArray[np.float64]:
    """What the box of each of F faces is like.

    Returns:
        (F, 6): height of the face in pixels; IoU of its box, 0 for none; by how much the box's centre lies
        right of and below that of the face, in pixels; logarithms of the box's width and height divided by
        the face's.
    """
    rows: list[list[float]] = []
    for image in images:
        sample = read_sample(image, scale=scale)
        photo, labels = sample.image, sample.faces
        if mirrored:
            photo, labels = np.ascontiguousarray(photo[:, ::-1]), labels.mirrored(photo.shape[1])
        labelled = labels.boxes[~labels.ignore].astype(np.float64)
        found = detector(photo).boxes.astype(np.float64)  # the surest first
        for face, fits in zip(labelled, pairwise_iou(labelled, found) >= LEAST_SHARED, strict=True):
            height = face[3] - face[1]
            if not fits.any():
                rows.append([height, 0, 0, 0, 0, 0])
                continue
            box = found[fits.argmax()]
            overlap = pairwise_iou(face[None], box[None])[0, 0]
            centre = (box[:2] + box[2:] - face[:2] - face[2:]) / 2
            sides = np.log((box[2:] - box[:2]) / (face[2:] - face[:2]))
            rows.append([height, overlap, *centre, *sides])
    return np.array(rows).reshape(-1, 6)


def main() -> None:
    """Measures one detector."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a file of weights, or the name of a shipped one")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--names", type=Path)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--mirrored", action="store_true")
    options = parser.parse_args()
    images = read_annotations(options.data, None, names=options.names, check="header").images
    detector = FaceDetector(FaceDetector.load(options.model).backend, PROTOCOLS["original"])
    table = errors(detector, images, scale=options.scale, mirrored=options.mirrored)
    print("| height | faces | found | IoU from 0.5 | centre x | centre y | log width | log height |")
    print("|---" * 8 + "|")
    for low, high in pairwise(EDGES):
        band = table[(table[:, 0] >= low) & (table[:, 0] < high)]
        found = band[band[:, 1] > 0, 2:]
        if not len(found):
            continue
        cells = [
            f"{middle:+.2f} ± {spread:.2f}"
            for middle, spread in zip(np.median(found, axis=0), found.std(axis=0), strict=True)
        ]
        shares = f"{len(band)} | {len(found) / len(band):.0%} | {(band[:, 1] >= 0.5).mean():.0%}"
        print(f"| {low}–{high} | {shares} |", " | ".join(cells), "|")


if __name__ == "__main__":
    main()
