"""Numbers in label files."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ffcore.coordinates import is_coordinate

_UNKNOWN = (math.nan, math.nan)


def finite_numbers(fields: Sequence[str]) -> list[float] | None:
    """The fields as numbers, or None if one of them is none, not finite, or beyond any image."""
    try:
        values = [float(field) for field in fields]
    except ValueError:
        return None
    return values if all(map(is_coordinate, values)) else None


def points_of(values: Sequence[float], *, hidden: float) -> tuple[float, ...]:
    """Five landmarks from ``x y flag`` fifteen numbers.

    Args:
        values: 15 numbers.
        hidden: The flag that marks a point as not known. A point of −1 −1 is never known.

    Returns:
        10 numbers, NaN where a point is not known.
    """
    points: list[float] = []
    for x, y, flag in zip(values[0::3], values[1::3], values[2::3], strict=True):
        points += _UNKNOWN if flag == hidden or (x == -1 and y == -1) else (x, y)
    return tuple(points)
