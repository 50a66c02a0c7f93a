"""The official labels of WIDER FACE, ``wider_face_train_bbx_gt.txt``."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from ffcore.data.collector import Annotations, Check, Collector, FaceRow, Names, key_of, read_lines
from ffcore.data.numbers import finite_numbers
from ffcore.images import IMAGE_SUFFIXES

_COUNT = re.compile(r"[0-9]{1,9}")
_COLUMNS = 10  # x y w h blur expression illumination invalid occlusion pose
_INVALID = 7


def read_widerface(
    path: str | Path,
    *,
    images: str | Path | None = None,
    names: Names | None = None,
    check: Check = "header",
    strict: bool = False,
) -> Annotations:
    """Read the official text file: a name, how many faces, then a line of ten numbers for each.

    Faces marked invalid are ignored. An image with 0 faces is followed by one line of zeros.

    Args:
        path: The file.
        images: The folder that the names are relative to; by default the first that is there of ``images``
            and ``WIDER_train/images`` beside the file, or the latter one folder up, as the archives unpack.
        names: The images wanted: a list, or a text file with one a line; all by default.
        check: How far images are looked at.
        strict: Whether defects are an error.

    Raises:
        InputError: The file cannot be read or holds no image that can be used; or a defect, with `strict`.
    """
    path = Path(path)
    folder = Path(images) if images is not None else _image_folder(path)
    collector = Collector(folder, names=names, check=check)
    place = f"{path.name} line {{}}"
    lines = [line.strip() for line in read_lines(path)]
    starts = [number for number, line in enumerate(lines) if is_image_name(line)]
    for number, line in enumerate(lines[: starts[0] if starts else len(lines)], start=1):
        if line:
            detail = "the name of an image is expected first"
            collector.defect("malformed_line", place.format(number), detail)
            break
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        name = lines[start]
        if collector.wants(name):
            rows = _faces(collector, lines[start + 1 : end], place, start + 2)
            collector.add(name, rows, place=place, line=start + 1)
    return collector.finish(source=path, strict=strict)


def invalid_boxes(path: str | Path) -> dict[str, set[tuple[float, ...]]]:
    """Boxes that the official file marks invalid, by the key of their image; damaged lines are skipped.

    Args:
        path: The file.

    Returns:
        For each image that has any, its boxes as x y w h; images are named as `key_of` does.

    Raises:
        InputError: The file cannot be read.
    """
    found: dict[str, set[tuple[float, ...]]] = {}
    key = ""
    for line in map(str.strip, read_lines(Path(path))):
        if is_image_name(line):
            key = key_of(line)
        elif len(fields := line.split()) == _COLUMNS:
            values = finite_numbers(fields)
            if values is not None and values[_INVALID] != 0:
                found.setdefault(key, set()).add(tuple(values[:4]))
    return found


def is_image_name(line: str) -> bool:
    """Whether a line names an image, rather than holding numbers."""
    return PurePosixPath(line).suffix.lower() in IMAGE_SUFFIXES


def _faces(collector: Collector, lines: list[str], place: str, first: int) -> list[FaceRow]:
    """Faces from the lines that follow a name, of which the first is numbered `first`."""
    filled = [(first + offset, line) for offset, line in enumerate(lines) if line]
    if not filled or not _COUNT.fullmatch(filled[0][1]):
        collector.defect(
            "malformed_line", place.format(first), "the number of faces is expected after a name"
        )
        return []
    count = int(filled[0][1])
    filled = filled[1:]
    if count == 0 and len(filled) == 1 and set(filled[0][1].split()) == {"0"}:
        return []
    if count != len(filled):
        detail = f"{count} faces are announced, but {len(filled)} lines follow; those lines are used"
        collector.defect("malformed_line", place.format(first), detail)
    rows = []
    for number, line in filled:
        fields = line.split()
        values = finite_numbers(fields)
        if len(fields) != _COLUMNS:
            detail = f"{_COLUMNS} numbers expected, {len(fields)} found"
            collector.defect("malformed_line", place.format(number), detail)
        elif values is None:
            detail = "holds a word that is no finite number"
            collector.defect("malformed_line", place.format(number), detail)
        else:
            box = (values[0], values[1], values[2], values[3])
            rows.append(FaceRow(number, box, ignore=values[_INVALID] != 0))
    return rows


def _image_folder(path: Path) -> Path:
    beside = path.parent
    places = (beside / "images", beside / "WIDER_train" / "images", beside.parent / "WIDER_train" / "images")
    return next((place for place in places if place.is_dir()), places[0])
