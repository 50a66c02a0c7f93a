"""Overlapping tiles of a large photo, each responsible for a part of it."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ffcore.errors import ConfigError


@dataclass(frozen=True)
class Tile:
    """A rectangle to look at, and the core of it whose faces count.

    Args:
        x1: Left column of the tile in the photo.
        y1: Top row.
        x2: Column after the last.
        y2: Row after the last.
        core: x1 y1 x2 y2 of the part this tile is responsible for. At a border of the photo it reaches
            to infinity, because the centre of a cut face may lie outside.
    """

    x1: int
    y1: int
    x2: int
    y2: int
    core: tuple[float, float, float, float]

    def cut(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The pixels of the tile, as a view of `image` (H, W, 3)."""
        return image[self.y1 : self.y2, self.x1 : self.x2]

    def owns(self, boxes: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Which boxes have their centre in the core.

        Args:
            boxes: (N, 4), xyxy in photo pixels.

        Returns:
            (N,) boolean. Every point belongs to the core of exactly one tile.
        """
        centres = (boxes[:, :2].astype(np.float64) + boxes[:, 2:]) / 2
        x1, y1, x2, y2 = self.core
        inside: NDArray[np.bool_] = (
            (centres[:, 0] >= x1) & (centres[:, 0] < x2) & (centres[:, 1] >= y1) & (centres[:, 1] < y2)
        )
        return inside


def tiles(height: int, width: int, *, size: int, overlap: int) -> list[Tile]:
    """Cover a photo with square tiles, row by row.

    The tiles are all as large as `size` allows (smaller only along a side where the photo itself is smaller)
    and spread evenly, so the overlap is at least `overlap`. A face no larger than that is whole in
    the tile that owns its centre. Cores meet in the middle of the overlaps.

    Args:
        height: Of the photo, pixels.
        width: Of the photo, pixels.
        size: Side of a tile, pixels.
        overlap: Pixels that neighbours share at least.

    Returns:
        At least one tile.

    Raises:
        ConfigError: The overlap is not smaller than the tile, or a number is out of range.
    """
    if height < 1 or width < 1:
        raise ConfigError(f"tiles need an image of at least one pixel, got {height} x {width}")
    if not 0 <= overlap < size:
        raise ConfigError(f"tiles of {size} pixels cannot overlap by {overlap}; choose 0..{size - 1}")
    return [
        Tile(x1=x1, y1=y1, x2=x2, y2=y2, core=(left, top, right, bottom))
        for y1, y2, top, bottom in _spans(height, size, overlap)
        for x1, x2, left, right in _spans(width, size, overlap)
    ]


def _spans(length: int, size: int, overlap: int) -> list[tuple[int, int, float, float]]:
    """Start, end and core of the tiles along one axis."""
    if length <= size:
        return [(0, length, -math.inf, math.inf)]
    count = math.ceil((length - overlap) / (size - overlap))
    starts = [round(i * (length - size) / (count - 1)) for i in range(count)]
    middles = [(following + start + size) / 2 for start, following in itertools.pairwise(starts)]
    borders = [-math.inf, *middles, math.inf]
    return [(start, start + size, borders[i], borders[i + 1]) for i, start in enumerate(starts)]
