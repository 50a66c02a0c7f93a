"""JSON: one record per image.

A record::

    {"image": "party.jpg", "width": 1024, "height": 683,
     "faces": [{"box": [x1, y1, x2, y2], "score": 0.98,
                "landmarks": {"left_eye": [x, y], "right_eye": [x, y], "nose": [x, y],
                              "left_mouth": [x, y], "right_mouth": [x, y]}}]}

Coordinates are pixels of the image, whose left edge is 0 and right edge `width`; boxes may reach beyond it.
Faces come in the order of the detector, best first. Left and right are the viewer's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ffcore.faces import LANDMARK_NAMES
from ffcore.files import replacing, write_text
from ffcore.results.image_faces import ImageFaces, short


def json_record(result: ImageFaces) -> dict[str, Any]:
    """One image as plain values; the numbers read back to the same float32."""
    faces = result.faces
    return {
        "image": result.image,
        "width": result.width,
        "height": result.height,
        "faces": [
            {
                "box": [short(value) for value in box],
                "score": short(score),
                "landmarks": {
                    name: [short(value) for value in point]
                    for name, point in zip(LANDMARK_NAMES, points, strict=True)
                },
            }
            for box, score, points in zip(faces.boxes, faces.scores, faces.landmarks, strict=True)
        ],
    }


def write_json(path: str | Path, results: Iterable[ImageFaces]) -> None:
    """Write a file that holds a list of records.

    Raises:
        InputError: The file cannot be written.
    """
    records = [json_record(result) for result in results]
    write_text(path, json.dumps(records, ensure_ascii=False, indent=1) + "\n")


def write_json_lines(path: str | Path, results: Iterable[ImageFaces]) -> None:
    """Write a file with one record per line, as the results come.

    Raises:
        InputError: The file cannot be written.
    """
    with replacing(path) as part, part.open("w", encoding="utf-8", newline="\n") as file:
        for result in results:
            file.write(json.dumps(json_record(result), ensure_ascii=False) + "\n")
