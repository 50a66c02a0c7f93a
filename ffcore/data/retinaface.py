"""Labels in the layout of RetinaFace: WIDER FACE with five landmarks a face."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from ffcore.data.collector import Annotations, Check, Collector, FaceRow, Names, key_of, read_lines
from ffcore.data.numbers import finite_numbers, points_of
from ffcore.data.widerface import invalid_boxes

_WITHOUT_LANDMARKS = (4,)
_WITH_LANDMARKS = (19, 20)  # a box and five points; then the blur, or the score of a detector


def read_retinaface(
    path: str | Path,
    *,
    images: str | Path | None = None,
    invalid_from: str | Path | None = None,
    names: Names | None = None,
    check: Check = "header",
    strict: bool = False,
) -> Annotations:
    """Read a ``label.txt``.

    ``# event/name.jpg`` begins an image. Each face is a line ``x y w h``, then five times ``x y flag``, then
    a number that is not used (the blur in the published file, the score of a detector in others). A point
    is not known where both coordinates or the flag are −1.

    Args:
        path: The file.
        images: The folder that the names are relative to; by default ``images`` beside the file.
        invalid_from: The official file of the same photos; faces that it marks invalid, which this layout
            cannot say, are ignored. None for no such file.
        names: The images wanted: a list, or a text file with one a line; all by default.
        check: How far images are looked at.
        strict: Whether defects are an error.

    Raises:
        InputError: The file cannot be read or holds no image that can be used; or a defect, with `strict`.

    Source: the layout of deepinsight/insightface's RetinaFace annotations.
    """
    path = Path(path)
    folder = Path(images) if images is not None else path.parent / "images"
    invalid = invalid_boxes(invalid_from) if invalid_from is not None else {}
    collector = Collector(folder, names=names, check=check)
    place = f"{path.name} line {{}}"
    name: str | None = None
    begin = 0
    rows: list[FaceRow] = []
    for number, text in enumerate(read_lines(path), start=1):
        line = text.strip()
        if line.startswith("#"):
            if name is not None:
                collector.add(name, rows, place=place, line=begin)
            name, begin, rows = line[1:].strip() or None, number, []
            if name is None:
                collector.defect("malformed_line", place.format(number), "# without the name of an image")
        elif line and name is None:
            detail = "a face before the first image; # event/name.jpg is expected"
            if begin == 0:
                collector.defect("malformed_line", place.format(number), detail)
        elif line and name is not None and collector.wants(name):
            row, problem = _face(line, number, invalid.get(key_of(name), frozenset()))
            if row is None:
                collector.defect("malformed_line", place.format(number), problem)
            else:
                rows.append(row)
    if name is not None:
        collector.add(name, rows, place=place, line=begin)
    return collector.finish(source=path, strict=strict)


def _face(line: str, number: int, invalid: Collection[tuple[float, ...]]) -> tuple[FaceRow | None, str]:
    fields = line.split()
    if len(fields) not in (*_WITHOUT_LANDMARKS, *_WITH_LANDMARKS):
        return None, f"4 or 20 numbers expected, {len(fields)} found"
    values = finite_numbers(fields)
    if values is None:
        return None, "holds a word that is no finite number"
    box = (values[0], values[1], values[2], values[3])
    if len(values) in _WITHOUT_LANDMARKS:
        return FaceRow(number, box, ignore=box in invalid), ""
    return FaceRow(number, box, points_of(values[4:19], hidden=-1), ignore=box in invalid), ""
