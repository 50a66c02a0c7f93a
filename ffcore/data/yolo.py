"""YOLO-face labels: one text file an image, numbers as fractions of the image."""

from __future__ import annotations

import math
from pathlib import Path

from ffcore.data.collector import Annotations, Check, Collector, FaceRow, Names, image_header, read_lines
from ffcore.data.numbers import finite_numbers, points_of
from ffcore.errors import ImageError, InputError
from ffcore.images import IMAGE_SUFFIXES

_BOX, _POINTS, _POINTS_WITH_FLAGS = 5, 15, 20  # numbers a line, the class included


def read_yolo(
    path: str | Path,
    *,
    images: str | Path | None = None,
    names: Names | None = None,
    face_class: int = 0,
    check: Check = "header",
    strict: bool = False,
) -> Annotations:
    """Read a YOLO-face data set: beside each ``images/a/b.jpg`` stands ``labels/a/b.txt``.

    Each face is a line ``class cx cy w h``, alone or with five landmarks ``x y`` or ``x y v``, all but `v` as
    fractions of the upright image. A point of −1 −1, or with a `v` of 0, is not known. An image without a
    label file, or with an empty one, has no faces.

    Args:
        path: The folder with ``labels``, or that folder itself.
        images: The folder of the images; by default ``images`` beside the labels.
        names: The images wanted: a list, or a text file with one a line; all by default.
        face_class: The class that is a face; others are passed over and counted.
        check: How far images are looked at. Headers are always read: fractions need the size.
        strict: Whether defects are an error.

    Raises:
        InputError: A folder is missing or holds no image that can be used; or a defect, with `strict`.
    """
    path = Path(path)
    labels = path / "labels" if (path / "labels").is_dir() else path
    folder = Path(images) if images is not None else labels.parent / "images"
    for each in (labels, folder):
        if not each.is_dir():
            raise InputError(f"{each}: there is no such folder; labels/ and images/ are expected")
    collector = Collector(folder, names=names, check="header" if check == "none" else check)
    photos = {
        each.relative_to(folder).as_posix()
        for each in folder.rglob("*")
        if each.suffix.lower() in IMAGE_SUFFIXES
    }
    places = {Path(photo).with_suffix("") for photo in photos}
    for text in sorted(labels.rglob("*.txt")):
        place = text.relative_to(labels).with_suffix("")
        if place not in places and place != Path("classes") and collector.wants(place.as_posix()):
            collector.defect("missing_image", str(text.relative_to(labels)), f"has no image below {folder}")
    for name in sorted(photos):
        if not collector.wants(name):
            continue
        text = labels / Path(name).with_suffix(".txt")
        place_of_row = f"{text.relative_to(labels)} line {{}}"
        rows = _faces(collector, text, folder / name, place_of_row, face_class) if text.is_file() else []
        collector.add(name, rows, place=place_of_row)
    return collector.finish(source=labels, strict=strict)


def _faces(collector: Collector, text: Path, photo: Path, place: str, face_class: int) -> list[FaceRow]:
    try:
        lines = read_lines(text)
    except InputError as error:
        collector.defect("malformed_line", place.format(1), str(error))
        return []
    try:
        width, height, _ = image_header(photo)
    except ImageError:
        return []  # counted as a corrupt image when it is added
    rows = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        values = finite_numbers(line.split())
        problem = _problem(values, len(line.split()))
        if values is None or problem:
            collector.defect("malformed_line", place.format(number), problem)
        elif values[0] != face_class:
            collector.note("other_class")
        else:
            rows.append(_face(values, number, width, height))
    return rows


def _problem(values: list[float] | None, count: int) -> str:
    if count not in (_BOX, _POINTS, _POINTS_WITH_FLAGS):
        return f"5, 15 or 20 numbers expected, {count} found"
    if values is None:
        return "holds a word that is no finite number"
    # faces may reach beyond the image, but pixels must not pass for fractions
    if not all(-1 <= value <= 2 for value in values[1:5]) or values[3] < 0 or values[4] < 0:
        return "cx cy w h must be fractions of the image, 0 to 1"
    return ""


def _face(values: list[float], number: int, width: int, height: int) -> FaceRow:
    cx, cy, w, h = values[1:5]
    box = ((cx - w / 2) * width, (cy - h / 2) * height, w * width, h * height)
    if len(values) == _BOX:
        return FaceRow(number, box)
    rest = values[5:]
    if len(values) == _POINTS:
        rest = [value for x, y in zip(rest[0::2], rest[1::2], strict=True) for value in (x, y, math.inf)]
    points = points_of(rest, hidden=0)
    scaled = tuple(value * side for value, side in zip(points, (width, height) * 5, strict=True))
    return FaceRow(number, box, scaled)
