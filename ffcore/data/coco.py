"""COCO annotations: faces as boxes, landmarks as five keypoints."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from ffcore.data.collector import Annotations, Check, Collector, FaceRow, Names
from ffcore.data.numbers import points_of
from ffcore.errors import InputError, did_you_mean


def read_coco(
    path: str | Path,
    *,
    images: str | Path | None = None,
    names: Names | None = None,
    category: str | None = None,
    check: Check = "header",
    strict: bool = False,
) -> Annotations:
    """Read a COCO annotation file.

    Keypoints are taken in their order, five as in `ffcore.faces.LANDMARK_NAMES`; a visibility of 0 says that
    a point is not known. Annotations marked ``iscrowd`` or ``ignore`` are ignored faces.

    Args:
        path: The JSON file with ``images`` and ``annotations``.
        images: The folder that ``file_name`` is relative to; by default ``images`` beside the file or one
            folder up, else the file's own folder.
        names: The images wanted: a list, or a text file with one a line; all by default.
        category: The name of the category that is a face; by default ``"face"``, or the only one.
        check: How far images are looked at.
        strict: Whether defects are an error.

    Raises:
        InputError: The file is no COCO document or holds no image that can be used; or a defect, with
            `strict`.
    """
    path = Path(path)
    document = _document(path)
    wanted = _category(path, document, category)
    beside = (path.parent / "images", path.parent.parent / "images")
    folder = Path(images) if images is not None else next((p for p in beside if p.is_dir()), path.parent)
    collector = Collector(folder, names=names, check=check)
    place = f"{path.name} annotations[{{}}]"

    files: dict[int | str, str] = {}
    for number, each in enumerate(document["images"]):
        where = f"{path.name} images[{number}]"
        if (
            not isinstance(each, dict)
            or not _is_id(each.get("id"))
            or not isinstance(each.get("file_name"), str)
        ):
            collector.defect("malformed_line", where, "has no id or no file_name")
        elif each["id"] in files:
            collector.defect("duplicate_image", where, f"has the id {each['id']} of another image")
        else:
            files[each["id"]] = each["file_name"]

    rows: dict[int | str, list[FaceRow]] = {key: [] for key in files}
    for number, each in enumerate(document["annotations"]):
        if not isinstance(each, dict) or not _is_id(each.get("image_id")) or each["image_id"] not in files:
            collector.defect("malformed_line", place.format(number), "belongs to no image of the file")
        elif not collector.wants(files[each["image_id"]]):
            continue
        elif wanted is not None and each.get("category_id") != wanted:
            collector.note("other_class")
        else:
            row, problem = _face(each, number)
            if row is None:
                collector.defect("malformed_line", place.format(number), problem)
            else:
                rows[each["image_id"]].append(row)
    for key, name in files.items():
        collector.add(name, rows[key], place=place)
    return collector.finish(source=path, strict=strict)


def _document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: cannot be read as COCO JSON: {reason}") from None
    if not isinstance(document, dict):
        raise InputError(f"{path}: is no COCO document; an object with images and annotations is expected")
    for key in ("images", "annotations"):
        if not isinstance(document.get(key), list):
            raise InputError(
                f"{path}: has no list of {key}; an object with images and annotations is expected"
            )
    return document


def _category(path: Path, document: dict[str, Any], name: str | None) -> int | str | None:
    """The id of the faces' category; None when the file has no categories, so that all are faces."""
    entries = document.get("categories")
    known = {
        str(each["name"]): each["id"]
        for each in (entries if isinstance(entries, list) else [])
        if isinstance(each, dict) and "name" in each and _is_id(each.get("id"))
    }
    if name is None and not known:
        return None
    if name is None:
        name = next(iter(known)) if len(known) == 1 else "face"
    if name not in known:
        raise InputError(f"{path}: has no category {name!r}; {did_you_mean(name, known)}")
    identifier: int | str = known[name]
    return identifier


def _face(entry: dict[str, Any], number: int) -> tuple[FaceRow | None, str]:
    box = _numbers(entry.get("bbox"))
    if box is None or len(box) != 4:
        return None, "a bbox of four finite numbers, x y w h, is expected"
    points = None
    if entry.get("keypoints"):
        keypoints = _numbers(entry["keypoints"])
        if keypoints is None or len(keypoints) != 15:
            return None, "keypoints of 5 × x y v are expected"
        points = points_of(keypoints, hidden=0)
    ignore = bool(entry.get("iscrowd") or entry.get("ignore"))
    return FaceRow(number, (box[0], box[1], box[2], box[3]), points, ignore), ""


def _numbers(values: Any) -> list[float] | None:
    if not isinstance(values, list) or any(
        isinstance(v, bool) or not isinstance(v, int | float) for v in values
    ):
        return None
    return [float(value) for value in values] if all(map(math.isfinite, values)) else None


def _is_id(value: Any) -> bool:
    return isinstance(value, int | str)
