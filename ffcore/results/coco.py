"""COCO: images, annotations and the one category, with the five landmarks as keypoints.

FiftyOne imports such a file as it is, boxes with their scores and landmarks as keypoints, and exports it::

    fiftyone.Dataset.from_dir(
        dataset_type=fiftyone.types.COCODetectionDataset,
        data_path="photos", labels_path="faces.json", label_types=["detections", "keypoints"],
    )
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from ffcore.coco_file import coordinate_list, face_category, is_id, read_coco_file
from ffcore.errors import InputError
from ffcore.faces import LANDMARK_NAMES, Faces
from ffcore.files import write_text
from ffcore.results.image_faces import ImageFaces, short

FACE_CATEGORY = 1

COCO_CATEGORY: dict[str, Any] = {
    "id": FACE_CATEGORY,
    "name": "face",
    "supercategory": "person",
    "keypoints": list(LANDMARK_NAMES),
    "skeleton": [],
}
"""The one category, with the names of its keypoints."""


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
        images.append(coco_image(result, image_id))
        annotations += coco_annotations(result, image_id, first=len(annotations) + 1)
    return {"images": images, "annotations": annotations, "categories": [COCO_CATEGORY]}


def coco_image(result: ImageFaces, number: int) -> dict[str, Any]:
    """The entry of one image.

    Args:
        result: The image.
        number: Its ``id``.
    """
    return {"id": number, "file_name": result.image, "width": result.width, "height": result.height}


def coco_annotations(result: ImageFaces, image_id: int, *, first: int) -> Iterator[dict[str, Any]]:
    """The entries of the faces of one image.

    Args:
        result: The image.
        image_id: Its number.
        first: Number of its first face; the others count on.
    """
    faces = result.faces
    each = zip(faces.boxes, faces.scores, faces.landmarks, strict=True)
    for number, (box, score, points) in enumerate(each, first):
        x1, y1, x2, y2 = (float(value) for value in box)
        yield {
            "id": number,
            "image_id": image_id,
            "category_id": FACE_CATEGORY,
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "area": (x2 - x1) * (y2 - y1),
            "iscrowd": 0,
            "score": short(score),
            "keypoints": [value for x, y in points for value in (short(x), short(y), 2)],
            "num_keypoints": len(LANDMARK_NAMES),
        }


def write_coco(path: str | Path, results: Iterable[ImageFaces]) -> None:
    """Write the document of all images.

    Raises:
        InputError: The file cannot be written.
    """
    write_text(path, json.dumps(coco_document(results), ensure_ascii=False) + "\n")


def read_coco_results(path: str | Path, *, category: str | None = None) -> list[ImageFaces]:
    """Read detections that somebody keeps as a COCO document: the way back from `write_coco`.

    Labels for training and ground truth are other things and have their own readers; here every face needs a
    score and five landmarks.

    Args:
        path: The JSON file with ``images``, which have ``file_name``, ``width`` and ``height``, and
            ``annotations``, which have ``bbox``, ``score`` and ``keypoints``.
        category: The name of the category that is a face; by default ``"face"``, or the only one.

    Returns:
        One entry an image, in the order of the file; faces in the order of the annotations.

    Raises:
        InputError: The file cannot be read, or something in it is missing; the message names the entry.
    """
    document = read_coco_file(path)
    wanted = face_category(document, category)
    images: dict[int | str, tuple[str, int, int]] = {}
    for number, each in enumerate(document.images):
        where = f"{path}: images[{number}]"
        if not isinstance(each, dict) or not is_id(each.get("id")) or each["id"] in images:
            raise InputError(f"{where} needs an id of its own")
        name, width, height = each.get("file_name"), each.get("width"), each.get("height")
        if not (isinstance(name, str) and _is_side(width) and _is_side(height)):
            raise InputError(f"{where} needs a file_name, and its width and height in pixels")
        images[each["id"]] = (name, width, height)
    rows: dict[int | str, list[list[float]]] = {key: [] for key in images}
    for number, each in enumerate(document.annotations):
        where = f"{path}: annotations[{number}]"
        if not isinstance(each, dict) or not is_id(each.get("image_id")) or each["image_id"] not in images:
            raise InputError(f"{where} belongs to no image of the file")
        if wanted is None or each.get("category_id") == wanted:
            rows[each["image_id"]].append(_row(each, where))
    return [
        ImageFaces(name, width, height, _faces(rows[key])) for key, (name, width, height) in images.items()
    ]


def _row(entry: dict[str, Any], where: str) -> list[float]:
    """Score, box as x y width height, and landmarks as five times x y."""
    score = coordinate_list([entry.get("score")], count=1)
    if score is None:
        raise InputError(f"{where} has no score; is this a file of labels? read_annotations takes those")
    box = coordinate_list(entry.get("bbox"), count=4)
    if box is None:
        raise InputError(f"{where} needs a bbox of four finite numbers, x y w h")
    points = coordinate_list(entry.get("keypoints"), count=15)
    if points is None or not all(points[2::3]):
        raise InputError(f"{where} needs keypoints of five known landmarks, 5 × x y v")
    return [*score, *box, *(value for i, value in enumerate(points) if i % 3 < 2)]


def _faces(rows: list[list[float]]) -> Faces:
    values = np.array(rows, np.float64).reshape(-1, 15)
    low = values[:, 1:3]
    return Faces(
        boxes=np.concatenate((low, low + values[:, 3:5]), axis=1).astype(np.float32),
        scores=values[:, 0].astype(np.float32),
        landmarks=values[:, 5:].reshape(-1, 5, 2).astype(np.float32),
    )


def _is_side(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
