"""COCO JSON files: what every reader of one needs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ffcore.coordinates import is_coordinate
from ffcore.errors import InputError, did_you_mean, one_line

_EXPECTED = "an object with images and annotations is expected"


@dataclass(frozen=True, eq=False)
class CocoFile:
    """The lists of a COCO document; what stands in them is not checked yet.

    Args:
        path: The file, for messages.
        images: Entries with ``id`` and ``file_name``.
        annotations: Entries with ``image_id`` and ``bbox``.
        categories: Name of each category and its id; empty where the file has none.
    """

    path: Path
    images: list[Any]
    annotations: list[Any]
    categories: dict[str, int | str]


def read_coco_file(path: str | Path) -> CocoFile:
    """Read a COCO document.

    Raises:
        InputError: The file cannot be read, or holds something else.
    """
    path = Path(path)
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except RecursionError:
        raise InputError(f"{path}: cannot be read as COCO JSON: lists within lists without end") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as COCO JSON: {one_line(error)}") from None
    if not isinstance(document, dict):
        raise InputError(f"{path}: is no COCO document; {_EXPECTED}")
    for key in ("images", "annotations"):
        if not isinstance(document.get(key), list):
            raise InputError(f"{path}: has no list of {key}; {_EXPECTED}")
    entries = document.get("categories")
    return CocoFile(
        path=path,
        images=document["images"],
        annotations=document["annotations"],
        categories={
            str(each["name"]): each["id"]
            for each in (entries if isinstance(entries, list) else [])
            if isinstance(each, dict) and "name" in each and is_id(each.get("id"))
        },
    )


def face_category(file: CocoFile, name: str | None) -> int | str | None:
    """The id of the category that is a face.

    Args:
        file: The document.
        name: Of the category; by default ``"face"``, or the only one.

    Returns:
        The id; None when the file has no categories, so that everything in it is a face.

    Raises:
        InputError: The file has no such category.
    """
    known = file.categories
    if name is None and not known:
        return None
    if name is None:
        name = next(iter(known)) if len(known) == 1 else "face"
    if name not in known:
        hint = did_you_mean(name, known) if known else "it has none at all"
        raise InputError(f"{file.path}: has no category {name!r}; {hint}")
    return known[name]


def is_id(value: Any) -> bool:
    """Whether a value can stand for an image or a category: a number or a text."""
    return isinstance(value, int | str) and not isinstance(value, bool)


def coordinate_list(values: Any, *, count: int) -> list[float] | None:
    """A list of so many coordinates, or None where it is something else."""
    if not isinstance(values, list) or len(values) != count:
        return None
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in values):
        return None
    return [float(value) for value in values] if all(map(is_coordinate, values)) else None
