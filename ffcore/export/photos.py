"""Real photos for an export: what it is calibrated and compared on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ffcore.errors import ImageError, InputError
from ffcore.geometry.resize import ResizePolicy
from ffcore.images import read_image
from ffcore.images.kinds import IMAGE_SUFFIXES

SIDE = 640
"""Longer side to which the photos are shrunk, pixels."""


def spread_photos(folder: Path, limit: int) -> list[Path]:
    """Some photos of a folder, evenly spread over all of them, the same every time.

    Args:
        folder: Looked through with all folders below it.
        limit: At most so many.

    Raises:
        InputError: There is no such folder, or no photo in it.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give one with photos of faces")
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    if not found:
        raise InputError(f"{folder}: holds no photos; give a folder with photos of faces")
    count = min(limit, len(found))
    return [found[i * len(found) // count] for i in range(count)]


def shrunk_photos(
    paths: Iterable[Path], *, size: tuple[int, int] | None = None
) -> Iterator[NDArray[np.uint8]]:
    """The photos as a detector shows them to a network, one by one; those that cannot be read are left out.

    Args:
        paths: Their files.
        size: Height and width into which each is fitted; None shrinks to `SIDE` and fills up to a multiple
            of 32.

    Yields:
        (H, W, 3) uint8 BGR, at least one.

    Raises:
        InputError: None can be read.
    """
    policy = ResizePolicy(size=size) if size else ResizePolicy(max_side=SIDE, multiple=32)
    reason, given = "", 0
    for path in paths:
        try:
            image = read_image(path)
        except ImageError as error:
            reason = str(error)
            continue
        given += 1
        yield policy.apply(image).image
    if not given:
        raise InputError(f"none of the photos can be read: {reason}")
