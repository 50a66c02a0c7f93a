"""CSV: one row per face, for spreadsheets and data frames."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

from ffcore.faces import LANDMARK_NAMES
from ffcore.files import replacing
from ffcore.results.image_faces import ImageFaces, short

CSV_HEADER = (
    *("image", "width", "height", "face", "x1", "y1", "x2", "y2", "score"),
    *(f"{name}_{axis}" for name in LANDMARK_NAMES for axis in "xy"),
)
"""Names of the columns. `face` counts from 0 within an image; coordinates are pixels of the image."""


def csv_rows(results: Iterable[ImageFaces]) -> Iterator[tuple[str | int | float, ...]]:
    """Rows below `CSV_HEADER`; an image without faces has none."""
    for result in results:
        faces = result.faces
        for i in range(len(faces)):
            numbers = (*faces.boxes[i], faces.scores[i], *faces.landmarks[i].ravel())
            yield (result.image, result.width, result.height, i, *(short(number) for number in numbers))


def write_csv(path: str | Path, results: Iterable[ImageFaces]) -> None:
    """Write the header and all rows, with commas between values and a line feed at line ends.

    Raises:
        InputError: The file cannot be written.
    """
    with replacing(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(CSV_HEADER)
        writer.writerows(csv_rows(results))
