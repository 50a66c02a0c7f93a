"""Which numbers can be coordinates of something in an image."""

from __future__ import annotations

LARGEST = 1e15
"""Far beyond any image, and small enough that sums and areas stay finite in float32."""


def is_coordinate(value: float) -> bool:
    """Whether a number is finite and not beyond all images; whole numbers of any length are understood."""
    return -LARGEST <= value <= LARGEST  # false for NaN
