"""The grid of anchors that the networks predict against."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ffcore.errors import ConfigError


@dataclass(frozen=True)
class AnchorConfig:
    """Where anchors are and how offsets from them are scaled; the defaults are the published ones.

    Args:
        min_sizes: For each level the sides of its square anchors, in pixels.
        strides: For each level the pixels per cell.
        variances: Divisors of centre and of size offsets in the box coding.

    Raises:
        ConfigError: The levels disagree or a number is not positive.
    """

    min_sizes: tuple[tuple[int, ...], ...] = ((16, 32), (64, 128), (256, 512))
    strides: tuple[int, ...] = (8, 16, 32)
    variances: tuple[float, float] = (0.1, 0.2)

    def __post_init__(self) -> None:
        if not self.strides or len(self.min_sizes) != len(self.strides):
            raise ConfigError(
                f"anchors need one tuple of sizes per stride; got {self.min_sizes} for strides {self.strides}"
            )
        if not all(self.min_sizes):
            raise ConfigError(f"every level needs at least one anchor size; got {self.min_sizes}")
        numbers = [*self.strides, *(size for level in self.min_sizes for size in level), *self.variances]
        if len(self.variances) != 2 or not all(math.isfinite(n) and n > 0 for n in numbers):
            raise ConfigError(
                f"anchor sizes, strides and the two variances must be positive; got {self.min_sizes}, "
                f"{self.strides}, {self.variances}"
            )


PUBLISHED = AnchorConfig()
"""The anchors of every published network."""


def anchor_count(height: int, width: int, config: AnchorConfig = PUBLISHED) -> int:
    """Number of anchors of an image of `height` × `width` pixels."""
    return sum(
        math.ceil(height / stride) * math.ceil(width / stride) * len(sizes)
        for stride, sizes in zip(config.strides, config.min_sizes, strict=True)
    )


# Sixteen tables: enough for a folder of camera photos in both orientations and some crops. A table
# of a 2048 × 1536 input holds 2 MB.
@lru_cache(maxsize=16)
def anchors(height: int, width: int, config: AnchorConfig = PUBLISHED) -> NDArray[np.float32]:
    """All anchors of an image, in the order level, row, column, size.

    Args:
        height: Of the network's input, pixels.
        width: Of the network's input, pixels.
        config: Sizes and strides.

    Returns:
        (A, 4) float32, cx cy w h relative to the image. The array is shared between callers and
        cannot be written to.

    Raises:
        ConfigError: The image has no pixels.
    """
    if height < 1 or width < 1:
        raise ConfigError(f"anchors need an image of at least one pixel, got {height} x {width}")
    levels = []
    for stride, sizes in zip(config.strides, config.min_sizes, strict=True):
        rows, columns = math.ceil(height / stride), math.ceil(width / stride)
        # float64 until the end: float32 steps would differ from the published table in the last bit.
        level = np.empty((rows, columns, len(sizes), 4), np.float64)
        level[..., 0] = ((np.arange(columns) + 0.5) * stride / width)[None, :, None]
        level[..., 1] = ((np.arange(rows) + 0.5) * stride / height)[:, None, None]
        level[..., 2] = np.asarray(sizes, np.float64) / width
        level[..., 3] = np.asarray(sizes, np.float64) / height
        levels.append(level.reshape(-1, 4).astype(np.float32))
    table = np.concatenate(levels)
    table.flags.writeable = False
    return table
