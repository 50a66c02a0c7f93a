"""From the table of a job to other formats, so that nobody detects twice.

The table is read a shard at a time, so memory does not grow with it.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

from ffcore.errors import ImageError, InputError
from ffcore.events import Advanced, Failed, OnEvent, Started, ignore
from ffcore.files import replacing
from ffcore.geometry.alignment import align_face
from ffcore.images import read_image, write_image
from ffcore.jobs.plan import PLAN_NAME, SUCCESS_NAME, part_name
from ffcore.jobs.reading import read_shard
from ffcore.jobs.shards import Shard, find_shards
from ffcore.jobs.storage import Folder
from ffcore.jobs.table import Row, image_faces, read_rows
from ffcore.results.coco import COCO_CATEGORY, coco_annotations, coco_image


def table_rows(table: str | Path) -> Iterator[Row]:
    """All rows of a finished job, in the order of its sources.

    Args:
        table: The folder of its results, a path or a URI.

    Raises:
        InputError: It is no such folder, or the job is not finished.
    """
    folder = Folder(table)
    for number in _shard_numbers(folder):
        yield from _rows(folder, number)


def write_coco_of(table: str | Path, path: str | Path, *, on_event: OnEvent = ignore) -> int:
    """Write the faces of a finished job as one COCO document; photos with an error are left out.

    Args:
        table: The folder of its results, a path or a URI.
        path: The file, on this machine.
        on_event: Told about photos with an error.

    Returns:
        How many images are in the document.

    Raises:
        InputError: It is no such folder, the job is not finished, or the file cannot be written.
    """
    images = faces = 0
    with replacing(path) as part, part.open("w", encoding="utf-8", newline="\n") as file:
        with tempfile.TemporaryFile("w+", encoding="utf-8", newline="\n") as later:  # they follow all images
            file.write('{"images": [')
            for row in table_rows(table):
                if row.error:
                    on_event(Failed(row.uri, row.error))
                    continue
                images += 1
                result = image_faces(row)
                _append(file, coco_image(result, images), first=images == 1)
                for annotation in coco_annotations(result, images, first=faces + 1):
                    faces += 1
                    _append(later, annotation, first=faces == 1)
            file.write('],\n"annotations": [')
            later.seek(0)
            shutil.copyfileobj(later, file)
        file.write(f'],\n"categories": [{json.dumps(COCO_CATEGORY)}]}}\n')
    return images


def write_crops_of(table: str | Path, folder: str | Path, *, on_event: OnEvent = ignore) -> int:
    """Write aligned 112×112 crops of all faces of a finished job, reading its photos once more.

    The sources are those that the job had, found through its plan. Crops of one shard share a folder, and a
    crop is named after the place of its photo in the shard, its name, and the number of the face.

    Args:
        table: The folder of the job's results, a path or a URI.
        folder: Where to, on this machine.
        on_event: Told about every photo, and about those that cannot be read any more.

    Returns:
        How many crops were written.

    Raises:
        InputError: It is no such folder, the job is not finished, its sources changed, or a crop cannot be
            written.
    """
    results = Folder(table)
    numbers = _shard_numbers(results)
    shards = _shards(results)
    on_event(Started("shards", len(numbers)))
    count = 0
    for number in numbers:
        rows = _rows(results, number)
        for row, photo in zip(rows, read_shard(shards[number]), strict=True):
            if row.uri != photo.uri:
                raise InputError(f"{photo.uri}: stands where the job saw {row.uri}; the source has changed")
            if row.error or not len(row.faces):
                continue
            try:
                image = read_image(photo.content, name=photo.uri)
            except ImageError as error:
                on_event(Failed(photo.uri, photo.error or error.reason))
                continue
            for face, landmarks in enumerate(row.faces.landmarks):
                try:
                    crop = align_face(image, landmarks)
                except InputError:
                    continue  # all five points in one place: no face to align
                name = f"{row.index:06d}-{PurePosixPath(photo.name).name}-{face:03d}.png"
                write_image(Path(folder, f"part-{number:06d}", name), crop)
                count += 1
        on_event(Advanced(part_name(number)))
    return count


def _shard_numbers(folder: Folder) -> list[int]:
    names = folder.names()
    if PLAN_NAME not in names:
        raise InputError(f"{folder.address}: is no folder of results, there is no {PLAN_NAME} in it")
    if SUCCESS_NAME not in names:
        raise InputError(f"{folder.address}: the job is not finished; run it again to go on")
    return list(range(len(json.loads(folder.read(PLAN_NAME))["shards"])))


def _rows(folder: Folder, number: int) -> Iterator[Row]:
    name = part_name(number)
    with folder.open(name) as file:
        yield from read_rows(file, f"{folder.address}/{name}")


def _append(file: IO[str], entry: dict[str, Any], *, first: bool) -> None:
    file.write(("\n" if first else ",\n") + json.dumps(entry, ensure_ascii=False))


def _shards(folder: Folder) -> list[Shard]:
    """The shards of the plan, found again in its sources."""
    plan = json.loads(folder.read(PLAN_NAME))
    shards = find_shards(**plan["sources"])
    if [shard.identity for shard in shards] != [shard["identity"] for shard in plan["shards"]]:
        raise InputError(
            f"{folder.address}: its sources have changed since; crops need the photos as they were"
        )
    return shards
