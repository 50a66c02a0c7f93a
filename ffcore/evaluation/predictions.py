"""Predicted boxes of many images: read from the WIDER FACE text layout, or taken from memory."""

from __future__ import annotations

import os
import re
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal, NoReturn

import numpy as np
from numpy.typing import NDArray

from ffcore.errors import ConfigError, InputError, MissingPredictionsError
from ffcore.evaluation.ground_truth import (
    GroundTruth,
    check_offsets,
    image_key,
    listed,
    offsets_of,
)
from ffcore.results.image_faces import ImageFaces

Missing = Literal["refuse", "empty"]
"""What becomes of an image without predictions: an error, or a result marked as incomplete."""

_OF_NUMBERS = b"0123456789+-.eE"
_COUNT = re.compile(rb"[0-9]{1,9}")


@dataclass(frozen=True, eq=False)
class Predictions:
    """The predicted boxes of a set of images, the boxes of the first image first.

    Args:
        images: I names, those of the ground truth in its order.
        boxes: (P, 4) float64, x y w h in pixels.
        scores: (P,) float64, any finite number; higher is better.
        offsets: (I + 1,) int64; the boxes of image i are ``boxes[offsets[i]:offsets[i + 1]]``.
        missing: Images for which there was no prediction at all; they count as empty.

    Raises:
        ConfigError: Shapes disagree, or a value is not finite.
    """

    images: tuple[str, ...]
    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    offsets: NDArray[np.int64]
    missing: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        count = len(self.scores)
        if self.boxes.shape != (count, 4) or self.scores.shape != (count,):
            raise ConfigError(
                f"predictions need boxes (P, 4) and scores (P,), not {self.boxes.shape}, {self.scores.shape}"
            )
        if self.boxes.dtype != np.float64 or self.scores.dtype != np.float64:
            raise ConfigError("predictions are float64; other types round what rule 5 compares")
        if not (np.isfinite(self.boxes).all() and np.isfinite(self.scores).all()):
            raise ConfigError("the predictions hold a value that is not finite")
        check_offsets(self.offsets, images=len(self.images), items=count)


def read_predictions(
    folder: str | Path, ground_truth: GroundTruth, *, missing: Missing = "refuse"
) -> Predictions:
    """Read ``event/name.txt`` of every image of the ground truth.

    Each file holds the name of the image, the number of boxes, and so many lines ``x y w h score``.
    Numbers are taken as they stand. Files of other images are an error, unless the ground truth is a
    part of a larger set: then they are not read.

    Args:
        folder: Holds one folder per event.
        ground_truth: Says which images there are.
        missing: With ``"empty"``, an image without a file counts as one without boxes, and is named in
            the result.

    Raises:
        MissingPredictionsError: Files are missing and `missing` is ``"refuse"``.
        InputError: A file belongs to no image, cannot be read, or is damaged; the message names the
            file and the line.
    """
    folder = Path(folder)
    present = _present(folder, ground_truth)
    absent = [image for image in ground_truth.images if image not in present]
    if absent and missing == "refuse":
        _refuse(
            f"{folder}: ", absent, ground_truth, hint="; is this the folder that holds the event folders?"
        )
    foreign = sorted(present.difference(ground_truth.images))
    if foreign and not ground_truth.partial:
        raise InputError(
            f"{folder}: {len(foreign):,} files belong to no image of the ground truth: {listed(foreign)}; "
            "remove them, or evaluate a part of the images by name"
        )
    values = array("d")
    ends = [0]
    root = f"{folder}{os.sep}"
    for image in ground_truth.images:
        if image in present:
            _append(values, f"{root}{image}.txt", image)
        ends.append(len(values))
    rows = np.frombuffer(values, dtype=np.float64).reshape(-1, 5) if values else np.zeros((0, 5))
    return Predictions(
        images=ground_truth.images,
        boxes=np.ascontiguousarray(rows[:, :4]),
        scores=np.ascontiguousarray(rows[:, 4]),
        offsets=np.array(ends, dtype=np.int64) // 5,
        missing=tuple(absent),
    )


def predictions_from_faces(
    results: Iterable[ImageFaces], ground_truth: GroundTruth, *, missing: Missing = "refuse"
) -> Predictions:
    """Detections in memory, with the numbers that they would have after a way through the text files.

    Args:
        results: In any order. The image is known by its folder and name, the suffix does not count.
        ground_truth: Says which images there are.
        missing: As for `read_predictions`.

    Raises:
        MissingPredictionsError: An image has no result and `missing` is ``"refuse"``.
        InputError: A result belongs to no image, or an image has two.
    """
    rows: dict[str, NDArray[np.float64]] = {}
    known = set(ground_truth.images)
    for result in results:
        image = image_key(result.image)
        if image not in known and not ground_truth.partial:
            raise InputError(f"{result.image}: the ground truth has no image {image}")
        if image in rows:
            raise InputError(f"{result.image}: there are two results for {image}")
        faces = result.faces
        boxes = faces.boxes.astype(np.float64)
        boxes[:, 2:] -= boxes[:, :2]
        rows[image] = np.column_stack([boxes, faces.scores.astype(np.float64)])
    absent = [image for image in ground_truth.images if image not in rows]
    if absent and missing == "refuse":
        _refuse("", absent, ground_truth, hint="")
    nothing = np.zeros((0, 5))
    parts = [rows.get(image, nothing) for image in ground_truth.images]
    whole = np.concatenate([nothing, *parts])
    return Predictions(
        images=ground_truth.images,
        boxes=np.ascontiguousarray(whole[:, :4]),
        scores=np.ascontiguousarray(whole[:, 4]),
        offsets=offsets_of(np.array([len(part) for part in parts], dtype=np.int64)),
        missing=tuple(absent),
    )


def _refuse(where: str, absent: Sequence[str], ground_truth: GroundTruth, *, hint: str) -> NoReturn:
    number, total = len(absent), len(ground_truth.images)
    raise MissingPredictionsError(
        f"{where}{number:,} of {total:,} images have no predictions: {listed(list(absent))}"
        f"{hint if number == total else ''}",
        missing=absent,
    )


def _present(folder: Path, ground_truth: GroundTruth) -> set[str]:
    """Every ``event/name`` for which there is a text file."""
    wanted = set(ground_truth.events)
    present: set[str] = set()
    try:
        with os.scandir(folder) as entries:
            top = list(entries)
        for entry in top:
            if _is_text(entry) and "" in wanted:
                present.add(entry.name[:-4])
            elif entry.is_dir() and (entry.name in wanted or not ground_truth.partial):
                with os.scandir(entry.path) as files:
                    present.update(f"{entry.name}/{file.name[:-4]}" for file in files if _is_text(file))
    except FileNotFoundError:
        raise InputError(f"{folder}: there is no such folder with predictions") from None
    except OSError as error:
        raise InputError(f"{folder}: the predictions cannot be listed: {error.strerror}") from None
    return present


def _is_text(entry: os.DirEntry[str]) -> bool:
    # hidden ones are the unfinished files of a writer, or what a Mac leaves on a foreign disk
    return entry.name.endswith(".txt") and not entry.name.startswith(".")


def _append(values: array[float], path: str, image: str) -> None:
    """Read one file; every check runs on every file, `_explain` only finds the words."""
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 (a Path object per file costs a tenth)
            data = file.read()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    if b"\r" in data:
        data = (data + b"\n").replace(b"\r\n", b"\n")
    head, _, rest = data.partition(b"\n")
    number, _, body = rest.partition(b"\n")
    body = body.rstrip(b" \t\n")
    if not _names(head, image.rpartition("/")[2]) or not _COUNT.fullmatch(number.strip(b" \t")):
        _explain(path, image, data)
    if not body and int(number) == 0:
        return
    fields = _fields(body, int(number))
    if fields is None:
        _explain(path, image, data)
    start = len(values)
    try:
        values.extend(map(float, fields))
    except ValueError:
        _explain(path, image, data)
    if not np.isfinite(np.frombuffer(values, dtype=np.float64)[start:]).all():
        _explain(path, image, data)


def _fields(body: bytes, count: int) -> list[str] | None:
    """The words of `body` if it has `count` lines of five words of digits, signs, points and exponents."""
    # What float() would take beyond that falls out here: nan, inf, 1_000; and a \r inside a line.
    blanks = body.translate(None, _OF_NUMBERS)
    if blanks.strip(b" \t\n"):
        return None
    text = body.decode("ascii")
    fields = text.split()
    if len(fields) != 5 * count:
        return None
    # With no more than four gaps in each of `count` lines, no line has more than five words, so each has
    # five. Blanks at the end of all lines but the last, which was stripped, make it five gaps.
    if blanks == b"\n".join([b"    "] * count):
        return fields
    if blanks == b"     \n" * (count - 1) + b"    " and body.count(b" \n") == count - 1:
        return fields
    lines = text.split("\n")
    return fields if len(lines) == count and all(len(line.split()) == 5 for line in lines) else None


def _names(head: bytes, name: str) -> bool:
    """Whether a first line names the image, with or without a folder and an extension."""
    line = head.rstrip(b" \t")
    if line == name.encode():
        return True
    last = PurePosixPath(line.decode("utf-8", "replace").replace("\\", "/")).name
    return name in (last, PurePosixPath(last).stem)


def _explain(path: str, image: str, data: bytes) -> NoReturn:
    """Say what is wrong with a file that was refused, and in which line."""
    lines = data.rstrip(b" \t\n").split(b"\n")
    if lines == [b""]:
        raise InputError(f"{path}: is empty; a file without boxes has the image name and a 0")
    if not _names(lines[0], image.rpartition("/")[2]):
        raise InputError(f"{path} line 1: names another image, {_quoted(lines[0])}")
    if len(lines) == 1:
        raise InputError(f"{path} line 2: the number of boxes is missing")
    count = lines[1].strip(b" \t")
    if not _COUNT.fullmatch(count):
        raise InputError(f"{path} line 2: the number of boxes expected, {_quoted(lines[1])} found")
    for number, line in enumerate(lines[2:], start=3):
        fields = line.split()
        if not fields:
            raise InputError(f"{path} line {number}: is empty; x y w h score expected")
        if len(fields) != 5:
            raise InputError(f"{path} line {number}: 5 numbers expected, {len(fields)} found")
        for field in fields:
            if not _is_finite_decimal(field):
                raise InputError(f"{path} line {number}: {_quoted(field)} is no finite number")
        if line.translate(None, _OF_NUMBERS + b" \t"):
            raise InputError(f"{path} line {number}: holds a character that is no blank and no number")
    raise InputError(
        f"{path} line 2: {int(count)} boxes announced, {len(lines) - 2} lines follow; "
        "the file is truncated or damaged"
    )


def _is_finite_decimal(field: bytes) -> bool:
    try:
        return not field.translate(None, _OF_NUMBERS) and bool(np.isfinite(float(field)))
    except ValueError:
        return False


def _quoted(text: bytes) -> str:
    shown = text.decode("utf-8", "replace")
    return repr(shown if len(shown) <= 60 else f"{shown[:60]}…")
