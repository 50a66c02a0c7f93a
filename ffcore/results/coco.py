"""COCO: images, annotations and the one category, with the five landmarks as keypoints."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ffcore.faces import LANDMARK_NAMES
from ffcore.files import write_text
from ffcore.results.image_faces import ImageFaces, short

FACE_CATEGORY = 1


def coco_document(results: Iterable[ImageFaces]) -> dict[str, Any]:
    """All images as one COCO document.

    Boxes are ``x y width height``; a keypoint is ``x y 2``, where 2 stands for "labelled and visible" and is
    all that a detector can say. Each annotation also has the `score` of COCO's result files, so
    `annotations` can be handed to an evaluation as it is. Numbers count from 1.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for result in results:
        image_id = len(images) + 1
        images.append(
            {"id": image_id, "file_name": result.image, "width": result.width, "height": result.height}
        )
        faces = result.faces
        for box, score, points in zip(faces.boxes, faces.scores, faces.landmarks, strict=True):
            x1, y1, x2, y2 = (float(value) for value in box)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": FACE_CATEGORY,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": (x2 - x1) * (y2 - y1),
                    "iscrowd": 0,
                    "score": short(score),
                    "keypoints": [value for x, y in points for value in (short(x), short(y), 2)],
                    "num_keypoints": len(LANDMARK_NAMES),
                }
            )
    category = {
        "id": FACE_CATEGORY,
        "name": "face",
        "supercategory": "person",
        "keypoints": list(LANDMARK_NAMES),
        "skeleton": [],
    }
    return {"images": images, "annotations": annotations, "categories": [category]}


def write_coco(path: str | Path, results: Iterable[ImageFaces]) -> None:
    """Write the document of all images.

    Raises:
        InputError: The file cannot be written.
    """
    write_text(path, json.dumps(coco_document(results), ensure_ascii=False) + "\n")
