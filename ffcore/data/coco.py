"""COCO annotations: faces as boxes, landmarks as five keypoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ffcore.coco_file import coordinate_list, face_category, is_id, read_coco_file
from ffcore.data.collector import Annotations, Check, Collector, FaceRow, Names
from ffcore.data.numbers import points_of


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
    document = read_coco_file(path)
    wanted = face_category(document, category)
    beside = (path.parent / "images", path.parent.parent / "images")
    folder = Path(images) if images is not None else next((p for p in beside if p.is_dir()), path.parent)
    collector = Collector(folder, names=names, check=check)
    place = f"{path.name} annotations[{{}}]"

    files: dict[int | str, str] = {}
    for number, each in enumerate(document.images):
        where = f"{path.name} images[{number}]"
        if (
            not isinstance(each, dict)
            or not is_id(each.get("id"))
            or not isinstance(each.get("file_name"), str)
        ):
            collector.defect("malformed_line", where, "has no id or no file_name")
        elif each["id"] in files:
            collector.defect("duplicate_image", where, f"has the id {each['id']} of another image")
        else:
            files[each["id"]] = each["file_name"]

    rows: dict[int | str, list[FaceRow]] = {key: [] for key in files}
    for number, each in enumerate(document.annotations):
        if not isinstance(each, dict) or not is_id(each.get("image_id")) or each["image_id"] not in files:
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


def _face(entry: dict[str, Any], number: int) -> tuple[FaceRow | None, str]:
    box = coordinate_list(entry.get("bbox"), count=4)
    if box is None:
        return None, "a bbox of four finite numbers, x y w h, is expected"
    points = None
    if entry.get("keypoints"):
        keypoints = coordinate_list(entry["keypoints"], count=15)
        if keypoints is None:
            return None, "keypoints of 5 × x y v are expected"
        points = points_of(keypoints, hidden=0)
    ignore = bool(entry.get("iscrowd") or entry.get("ignore"))
    return FaceRow(number, (box[0], box[1], box[2], box[3]), points, ignore), ""
