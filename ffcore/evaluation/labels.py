"""Ground truth from a COCO file or YOLO-face labels, with bands of face height as subsets."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ffcore.coco_file import coordinate_list, face_category, is_id, read_coco_file
from ffcore.errors import ImageError, InputError, one_line
from ffcore.evaluation.ground_truth import HEIGHT_BANDS, GroundTruth, image_key, offsets_of
from ffcore.images.kinds import IMAGE_SUFFIXES

_ORIENTATION = 0x0112


def read_coco_ground_truth(
    path: str | Path, *, category: str | None = None, bands: Mapping[str, float] = HEIGHT_BANDS
) -> GroundTruth:
    """Read the faces of a COCO annotation file.

    Annotations marked ``iscrowd`` or ``ignore`` are faces that every subset ignores: a box on one is
    neither right nor wrong.

    Args:
        path: The JSON file with ``images`` and ``annotations``.
        category: The name of the category that is a face; by default ``"face"`` or the only one.
        bands: Name of each subset and the smallest face height in pixels that it keeps.

    Returns:
        Images as ``folder/name``, in the order of the file.

    Raises:
        InputError: The file cannot be read, or an entry in it makes no sense; the message names it.
    """
    path = Path(path)
    document = read_coco_file(path)
    wanted = face_category(document, category)
    names: dict[Any, str] = {}
    for number, image in enumerate(document.images):
        if (
            not isinstance(image, dict)
            or not isinstance(image.get("file_name"), str)
            or not is_id(image.get("id"))
        ):
            raise InputError(f"{path}: images[{number}] has no id or no file_name")
        if image["id"] in names:
            raise InputError(f"{path}: images[{number}] has the id {image['id']} of another image")
        names[image["id"]] = image["file_name"]
    faces: dict[Any, list[list[float]]] = {key: [] for key in names}
    ignored: dict[Any, list[bool]] = {key: [] for key in names}
    for number, each in enumerate(document.annotations):
        if not isinstance(each, dict) or not is_id(each.get("image_id")) or each["image_id"] not in names:
            raise InputError(f"{path}: annotations[{number}] belongs to no image of the file")
        if wanted is not None and each.get("category_id") != wanted:
            continue
        box = coordinate_list(each.get("bbox"), count=4)
        if box is None:
            raise InputError(f"{path}: annotations[{number}] needs a bbox of four finite numbers, x y w h")
        faces[each["image_id"]].append(box)
        ignored[each["image_id"]].append(bool(each.get("iscrowd") or each.get("ignore")))
    rows = [(name, faces[key], ignored[key]) for key, name in names.items()]
    return ground_truth_of_rows(str(path), rows, bands)


def read_yolo_ground_truth(
    labels: str | Path,
    *,
    images: str | Path,
    face_class: int = 0,
    bands: Mapping[str, float] = HEIGHT_BANDS,
) -> GroundTruth:
    """Read the faces of a YOLO-face data set.

    Beside each ``images/a/b.jpg`` stands ``labels/a/b.txt`` with lines ``class x y w h …``: centre and
    size as fractions of the upright image; landmarks may follow. An image without a label file has no faces.

    Args:
        labels: The folder of the label files.
        images: The folder of the images; only their sizes are read.
        face_class: The class that is a face; others are skipped.
        bands: Name of each subset and the smallest face height in pixels that it keeps.

    Returns:
        Images as ``folder/name``, sorted by path.

    Raises:
        InputError: A folder is missing, a label file has no image or is damaged; the message names the
            file and the line.
        ImageError: The size of an image cannot be read.
    """
    labels, images = Path(labels), Path(images)
    for folder in (labels, images):
        if not folder.is_dir():
            raise InputError(f"{folder}: there is no such folder")
    photos = sorted(path for path in images.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    if not photos:
        raise InputError(f"{images}: holds no images")
    texts = {path.relative_to(labels).with_suffix("") for path in labels.rglob("*.txt")}
    # some keep the list of classes among the labels
    alone = sorted(
        texts - {photo.relative_to(images).with_suffix("") for photo in photos} - {Path("classes")}
    )
    if alone:
        raise InputError(f"{labels / alone[0]}.txt: has no image below {images} ({len(alone):,} such files)")
    rows = []
    for photo in photos:
        place = photo.relative_to(images)
        text = labels / place.with_suffix(".txt")
        boxes = _yolo_boxes(text, photo, face_class) if place.with_suffix("") in texts else []
        rows.append((str(place), boxes, [False] * len(boxes)))
    return ground_truth_of_rows(str(images), rows, bands)


def ground_truth_of_rows(
    where: str,
    rows: Iterable[tuple[str, list[list[float]], list[bool]]],
    bands: Mapping[str, float] = HEIGHT_BANDS,
) -> GroundTruth:
    """Ground truth from plain values.

    Args:
        where: What they were read from, for messages.
        rows: For each image its name, the boxes of its faces as x y w h in pixels, and which of them every
            subset ignores.
        bands: Name of each subset and the smallest face height in pixels that it keeps.

    Raises:
        InputError: There is no image, or two have one name.
    """
    by_key: dict[str, str] = {}
    boxes: list[list[float]] = []
    ignored: list[bool] = []
    counts: list[int] = []
    for name, faces, marks in rows:
        key = image_key(name)
        if key in by_key:
            raise InputError(f"{where}: {by_key[key]} and {name} would both be {key}; rename one")
        by_key[key] = name
        boxes += faces
        ignored += marks
        counts.append(len(faces))
    if not by_key:
        raise InputError(f"{where}: holds no images")
    truth = GroundTruth(
        images=tuple(by_key),
        boxes=np.array(boxes, dtype=np.float64).reshape(-1, 4),
        offsets=offsets_of(np.array(counts, dtype=np.int64)),
        kept={"all": ~np.array(ignored, dtype=np.bool_)},
    )
    return truth.with_height_bands(bands)


def _yolo_boxes(text: Path, photo: Path, face_class: int) -> list[list[float]]:
    try:
        lines = text.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{text}: cannot be read: {one_line(error)}") from None
    boxes = []
    width, height = _upright_size(photo) if any(map(str.strip, lines)) else (0, 0)
    for number, line in enumerate(lines, start=1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) < 5:
            raise InputError(f"{text} line {number}: class x y w h expected, {len(fields)} numbers found")
        try:
            label, *values = (float(field) for field in fields)
        except ValueError:
            raise InputError(f"{text} line {number}: holds a word that is no number") from None
        x, y, w, h = values[:4]
        if not all(map(math.isfinite, (label, x, y, w, h))) or not _are_fractions(x, y, w, h):
            raise InputError(f"{text} line {number}: x y w h must be fractions of the image, 0 to 1")
        if label == face_class:
            boxes.append([(x - w / 2) * width, (y - h / 2) * height, w * width, h * height])
    return boxes


def _are_fractions(x: float, y: float, w: float, h: float) -> bool:
    # faces may reach beyond the image, but values in pixels must not pass for fractions
    return abs(x) <= 2 and abs(y) <= 2 and 0 <= w <= 2 and 0 <= h <= 2


def _upright_size(photo: Path) -> tuple[int, int]:
    """Width and height as the image is shown, from its header."""
    try:
        with Image.open(photo) as image:
            width, height = image.size
            turned = image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
    except Exception as error:  # a damaged header makes Pillow raise anything
        raise ImageError(photo, f"its size cannot be read: {one_line(error)}") from None
    return (height, width) if turned else (width, height)
