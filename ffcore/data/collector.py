"""Gathers what a reader finds: images that can be used, and a report of the rest."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image

from ffcore.data.annotations import AnnotatedImage, LabelledFaces
from ffcore.data.report import DataReport, Defect, DefectKind, NoteKind
from ffcore.errors import ImageError, InputError, one_line
from ffcore.images import IMAGE_SUFFIXES, read_image

Check = Literal["none", "header", "pixels"]
"""How far images are looked at: not at all beyond being there; their headers (0.2 ms); or decoded whole."""

Names = str | Path | Sequence[str]
"""A text file with one image name a line, or the names themselves."""

_GRAY_MODES = frozenset({"1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "F"})
_ORIENTATION = 0x0112


class FaceRow(NamedTuple):
    """One face as a file describes it, before anything is checked."""

    line: int
    box: tuple[float, float, float, float]
    """x y width height in pixels."""
    points: tuple[float, ...] | None = None
    """x y of five landmarks, NaN for a point that is not known; None when the file has none for this face."""
    ignore: bool = False


@dataclass(frozen=True, eq=False)
class Annotations:
    """Images to train on, and the report of how they were read.

    Args:
        images: Those that can be used, in the order of the labels.
        report: Everything else.
    """

    images: tuple[AnnotatedImage, ...]
    report: DataReport


class Collector:
    """Takes images one by one and counts their defects.

    Args:
        folder: Where the images are.
        names: The images wanted, ``event/name`` with or without suffix; None for all.
        check: How far each image is looked at.

    Raises:
        InputError: The list of names cannot be read.
    """

    def __init__(self, folder: Path, *, names: Names | None, check: Check) -> None:
        self._folder = folder
        self._check = check
        self._wanted = None if names is None else {key_of(name): name for name in read_names(names)}
        self._listings: dict[Path, dict[str, Path]] = {}
        self._seen: set[str] = set()
        self._images: list[AnnotatedImage] = []
        self._defects: list[Defect] = []
        self._notes: Counter[NoteKind] = Counter()

    def wants(self, name: str) -> bool:
        """Whether an image is among the names asked for."""
        return self._wanted is None or key_of(name) in self._wanted

    def defect(self, kind: DefectKind, where: str, detail: str) -> None:
        """Notes something that is wrong."""
        self._defects.append(Defect(kind, where, detail))

    def note(self, kind: NoteKind) -> None:
        """Counts something worth knowing."""
        self._notes[kind] += 1

    def find(self, name: str) -> Path | None:
        """The file of an image; one that differs from its name in the suffix only will do."""
        path = self._folder / name.replace("\\", "/")
        if path.parent not in self._listings:
            try:
                files = sorted(path.parent.iterdir())
            except (OSError, ValueError):  # ValueError: a damaged name with a NUL in it
                files = []
            images = [each for each in files if each.suffix.lower() in IMAGE_SUFFIXES]
            self._listings[path.parent] = {
                **{each.stem: each for each in images},
                **{each.name: each for each in images},
            }
        listing = self._listings[path.parent]
        return listing.get(path.name) or listing.get(_stem(path.name))

    def add(self, name: str, rows: Iterable[FaceRow], *, place: str, line: int | None = None) -> None:
        """One image with its faces.

        Args:
            name: As the labels call it.
            rows: Its faces.
            place: What a defect of a face is called, with ``{}`` for the line or number of its row.
            line: Where the image itself is named; by default a defect of the image bears its name only.
        """
        if not self.wants(name):
            return
        where = name if line is None else f"{place.format(line)} ({name})"
        if key_of(name) in self._seen:
            self.defect("duplicate_image", where, "comes a second time; only the first is used")
            return
        self._seen.add(key_of(name))
        path = self.find(name)
        if path is None:
            self.defect("missing_image", where, f"there is no such image below {self._folder}")
            return
        try:
            size = self._inspect(path)
        except ImageError as error:
            self.defect("corrupt_image", where, f"the image {error.reason}")
            return
        faces = self._faces(rows, place, size)
        if not len(faces):
            self.note("image_without_faces")
        self._images.append(AnnotatedImage(name=name, path=path, faces=faces))

    def finish(self, *, source: str | Path, strict: bool) -> Annotations:
        """Everything that was gathered.

        Args:
            source: The labels, for messages.
            strict: Whether defects are an error.

        Raises:
            InputError: No image can be used; or there are defects, and `strict`.
        """
        if self._wanted is not None:
            for key in sorted(self._wanted.keys() - self._seen):
                self.defect("unknown_name", self._wanted[key], f"{source} has no such image")
        report = DataReport(
            images=len(self._images),
            faces=sum(len(image.faces) for image in self._images),
            faces_with_landmarks=sum(int(image.faces.has_landmarks.sum()) for image in self._images),
            defects=tuple(self._defects),
            notes=dict(self._notes),
        )
        if strict:
            report.check()
        if not self._images:
            first = (
                f"; the first of {len(self._defects):,} defects: {self._defects[0]}" if self._defects else ""
            )
            raise InputError(f"{source}: no image can be used{first}")
        return Annotations(images=tuple(self._images), report=report)

    def _inspect(self, path: Path) -> tuple[int, int] | None:
        """Width and height of the upright image, if it is looked at."""
        if self._check == "none":
            return None
        if self._check == "pixels":
            image = read_image(path)
            if (image[..., 0] == image[..., 1]).all() and (image[..., 1] == image[..., 2]).all():
                self.note("grayscale_image")
            return image.shape[1], image.shape[0]
        width, height, mode = image_header(path)
        if mode in _GRAY_MODES:
            self.note("grayscale_image")
        return width, height

    def _faces(self, rows: Iterable[FaceRow], place: str, size: tuple[int, int] | None) -> LabelledFaces:
        boxes: list[list[float]] = []
        landmarks: list[tuple[float, ...]] = []
        has_landmarks: list[bool] = []
        ignore: list[bool] = []
        seen: set[tuple[float, ...]] = set()
        for row in rows:
            box = _as_xyxy(row.box)
            kind, detail = _wrong(row.box, box, size)
            if kind is not None:
                self.defect(kind, place.format(row.line), detail)
                continue
            if row.box in seen:
                self.defect("duplicate_face", place.format(row.line), f"the box {_text(row.box)} comes twice")
                continue
            seen.add(row.box)
            if size is not None and not (
                box[0] >= 0 and box[1] >= 0 and box[2] <= size[0] and box[3] <= size[1]
            ):
                self.note("box_cut")
            if row.ignore:
                self.note("ignored_face")
            unknown = 10 if row.points is None else sum(map(math.isnan, row.points))
            if unknown == 10:
                self.note("landmarks_missing")
            elif unknown:
                detail = f"only {5 - unknown // 2} of 5 landmarks are given; it counts as without"
                self.defect("landmarks_incomplete", place.format(row.line), detail)
            boxes.append(box)
            landmarks.append(row.points if row.points is not None and not unknown else (0.0,) * 10)
            has_landmarks.append(not unknown)
            ignore.append(row.ignore)
        return LabelledFaces.of(
            boxes,
            landmarks=np.array(landmarks, np.float32).reshape(-1, 5, 2),
            has_landmarks=np.array(has_landmarks, np.bool_),
            ignore=np.array(ignore, np.bool_),
        )


def image_header(path: Path) -> tuple[int, int, str]:
    """Width, height (as the image is shown) and Pillow mode of an image, from its header.

    Raises:
        ImageError: The header cannot be read.
    """
    try:
        with Image.open(path) as image:
            width, height = image.size
            turned = image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
            mode = image.mode
    except Exception as error:  # a damaged header makes Pillow raise anything
        raise ImageError(path, f"cannot be read: {one_line(error)}") from None
    return (height, width, mode) if turned else (width, height, mode)


def read_names(names: Names) -> list[str]:
    """Image names from a text file with one a line, or as given.

    Raises:
        InputError: The file cannot be read, or there is no name.
    """
    if isinstance(names, str | Path):
        lines = [line.strip() for line in read_lines(Path(names))]
        listed = [line for line in lines if line]
        if not listed:
            raise InputError(f"{names}: names no image; write one event/name a line")
        return listed
    if not names:
        raise InputError("the list of images is empty; name at least one")
    return list(names)


def read_lines(path: Path) -> list[str]:
    """Lines of a UTF-8 text file.

    Raises:
        InputError: The file cannot be read, or is no text.
    """
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{path}: is no text in UTF-8; labels are expected here") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None


def key_of(name: str) -> str:
    """An image's name with forward slashes and without the suffix of an image."""
    place = PurePosixPath(name.strip().replace("\\", "/"))
    return str(place.parent / _stem(place.name))


def _stem(name: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    return stem if f"{dot}{suffix}".lower() in IMAGE_SUFFIXES else name


def _as_xyxy(box: tuple[float, float, float, float]) -> list[float]:
    x, y, width, height = box
    return [float(np.float32(value)) for value in (x, y, x + width, y + height)]


def _wrong(
    given: tuple[float, float, float, float], box: list[float], size: tuple[int, int] | None
) -> tuple[Literal["zero_size_box", "box_outside"] | None, str]:
    # compared after rounding to float32, in which boxes are kept
    if box[2] <= box[0] or box[3] <= box[1]:
        return "zero_size_box", f"the box {_text(given)} has no area"
    if size is not None and (box[0] >= size[0] or box[1] >= size[1] or box[2] <= 0 or box[3] <= 0):
        return "box_outside", f"the box {_text(given)} lies outside the image of {size[0]} × {size[1]} pixels"
    return None, ""


def _text(box: tuple[float, ...]) -> str:
    return " ".join(f"{value:g}" for value in box)
