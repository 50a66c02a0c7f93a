"""Annotated faces of many images, flat: one array for all, and where each image begins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from ffcore.errors import ConfigError, InputError, did_you_mean, one_line

HEIGHT_BANDS: Mapping[str, float] = {"height>=50": 50.0, "height>=30": 30.0, "height>=10": 10.0}
"""Subsets for data that brings none: the smallest face height in pixels that each of them keeps."""

_NAMES_IN_A_MESSAGE = 20


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """The annotated faces of a set of images, and which of them each subset keeps.

    Args:
        images: I names as ``event/name``, without suffix; ``name`` alone for an image in no folder.
        boxes: (G, 4) float64, x y w h in pixels, the faces of the first image first.
        offsets: (I + 1,) int64; the faces of image i are ``boxes[offsets[i]:offsets[i + 1]]``.
        kept: For each subset by name, (G,) bool: the faces that it keeps. It ignores the others.
        partial: The images are a part, chosen by name, of a larger set.

    Raises:
        ConfigError: Shapes disagree, a name comes twice, or a coordinate is not finite.
    """

    images: tuple[str, ...]
    boxes: NDArray[np.float64]
    offsets: NDArray[np.int64]
    kept: Mapping[str, NDArray[np.bool_]]
    partial: bool = False

    def __post_init__(self) -> None:
        faces = len(self.boxes)
        if self.boxes.shape != (faces, 4) or self.boxes.dtype != np.float64:
            raise ConfigError(f"boxes must be (G, 4) float64, not {self.boxes.shape} {self.boxes.dtype}")
        if not np.isfinite(self.boxes).all():
            raise ConfigError("the boxes of the ground truth hold a value that is not finite")
        check_offsets(self.offsets, images=len(self.images), items=faces)
        if len(set(self.images)) != len(self.images):
            raise ConfigError("the ground truth names an image twice")
        for name, mask in self.kept.items():
            if mask.shape != (faces,) or mask.dtype != np.bool_:
                raise ConfigError(
                    f"subset {name} must be ({faces},) bool, one for each face, not {mask.shape} {mask.dtype}"
                )

    @property
    def events(self) -> tuple[str, ...]:
        """The event of each image, that is its folder; empty for an image in no folder."""
        return tuple(name.rpartition("/")[0] for name in self.images)

    @property
    def face_counts(self) -> NDArray[np.int64]:
        """(I,) int64: how many rows each image has."""
        return np.diff(self.offsets)

    def only(self, names: Iterable[str]) -> GroundTruth:
        """As if the set held only these images, which keep their order.

        Args:
            names: ``event/name``, or ``name`` alone where no other image has it; a suffix
                (``.jpg``) is allowed.

        Raises:
            InputError: A name stands for no image or for several, or comes twice.
        """
        numbers = np.array(sorted(self._numbers(names)), dtype=np.int64)
        counts = self.face_counts[numbers]
        chosen = np.zeros(len(self.images), bool)
        chosen[numbers] = True
        rows = np.repeat(chosen, self.face_counts)
        return GroundTruth(
            images=tuple(self.images[number] for number in numbers),
            boxes=self.boxes[rows],
            offsets=offsets_of(counts),
            kept={name: mask[rows] for name, mask in self.kept.items()},
            partial=True,
        )

    def with_subsets(self, kept: Mapping[str, NDArray[np.bool_]]) -> GroundTruth:
        """The same faces with other subsets, each (G,) bool."""
        return replace(self, kept=dict(kept))

    def with_height_bands(self, bands: Mapping[str, float] = HEIGHT_BANDS) -> GroundTruth:
        """Subsets by face height, each including all larger faces, of the faces that any subset keeps now.

        Args:
            bands: Name of each subset and the smallest height in pixels that it keeps.
        """
        ever = np.logical_or.reduce(list(self.kept.values())) if self.kept else np.ones(len(self.boxes), bool)
        return self.with_subsets({name: ever & (self.boxes[:, 3] >= least) for name, least in bands.items()})

    def _numbers(self, names: Iterable[str]) -> list[int]:
        whole = {name: number for number, name in enumerate(self.images)}
        by_last: dict[str, list[int]] = {}
        for number, name in enumerate(self.images):
            by_last.setdefault(name.rpartition("/")[2], []).append(number)
        found: dict[int, str] = {}
        for name in names:
            number = _number(name, whole, by_last)
            if number in found:
                raise InputError(f"{name}: the list of images names it twice; name each image once")
            found[number] = name
        if not found:
            raise InputError("the list of images is empty; name at least one image")
        return list(found)


def read_image_list(path: str | Path) -> list[str]:
    """Names from a text file with one image per line; empty lines are skipped.

    Raises:
        InputError: The file cannot be read or names no image.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a list of images: {one_line(error)}") from None
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise InputError(f"{path}: names no image; write one event/name per line")
    return names


def image_key(path: str) -> str:
    """``event/name`` of an image file: its folder, and its name without suffix."""
    place = PurePosixPath(path.replace("\\", "/"))
    return f"{place.parent.name}/{place.stem}" if place.parent.name else place.stem


def offsets_of(counts: NDArray[np.integer]) -> NDArray[np.int64]:
    """(I + 1,) int64: where each of I groups begins, and the end, from their sizes."""
    offsets = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=offsets[1:])
    return offsets


def check_offsets(offsets: NDArray[np.int64], *, images: int, items: int) -> None:
    """Raise ConfigError unless `offsets` cuts `items` rows into `images` groups."""
    fits = offsets.shape == (images + 1,) and offsets[0] == 0 and offsets[-1] == items
    if not fits or (np.diff(offsets) < 0).any():
        raise ConfigError(f"the offsets do not cut {items} rows into {images} images")


def listed(names: list[str]) -> str:
    """Names for a one-line message: all of them up to 20, else the first 20 and how many follow."""
    if len(names) <= _NAMES_IN_A_MESSAGE:
        return ", ".join(names)
    return f"{', '.join(names[:_NAMES_IN_A_MESSAGE])} and {len(names) - _NAMES_IN_A_MESSAGE:,} more"


def _number(name: str, whole: Mapping[str, int], by_last: Mapping[str, list[int]]) -> int:
    given = name.replace("\\", "/")
    stem = given[: -len(PurePosixPath(given).suffix)] if PurePosixPath(given).suffix else given
    for candidate in (given, stem):  # a dot may belong to the name
        if candidate in whole:
            return whole[candidate]
        numbers = by_last.get(candidate, [])
        if len(numbers) == 1:
            return numbers[0]
        if numbers:
            raise InputError(f"{name}: {len(numbers)} images have this name; write event/name")
    raise InputError(f"{name}: the ground truth has no such image; {did_you_mean(stem, _near(stem, whole))}")


def _near(name: str, whole: Mapping[str, int]) -> list[str]:
    """A few names to choose from; comparing with all of a large set would take seconds."""
    event = name.rpartition("/")[0]
    return [each for each in whole if each.rpartition("/")[0] == event][:200] or list(whole)[:5]
