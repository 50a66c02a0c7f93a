"""Areas and overlaps of axis-aligned boxes."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.floating[Any]]


def areas(boxes: FloatArray, *, inclusive: bool = False) -> FloatArray:
    """Area of each box.

    Args:
        boxes: (N, 4), xyxy, any unit.
        inclusive: Count the last pixel as part of the box: a side is ``x2 - x1 + 1``. This is the
            rule of the published NMS, and it only makes sense in pixels.

    Returns:
        (N,) of the same dtype; a side below 0 counts as 0.
    """
    extra = 1 if inclusive else 0
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2] + extra, 0)
    result: FloatArray = sides[:, 0] * sides[:, 1]
    return result


def pairwise_iou(first: FloatArray, second: FloatArray, *, inclusive: bool = False) -> FloatArray:
    """Intersection over union of every box of `first` with every box of `second`.

    Args:
        first: (N, 4), xyxy.
        second: (M, 4), xyxy, same unit.
        inclusive: Sides are ``x2 - x1 + 1``, see `areas`.

    Returns:
        (N, M), 0..1; 0 where both boxes have no area.
    """
    extra = 1 if inclusive else 0
    corner = np.maximum(first[:, None, :2], second[None, :, :2])
    opposite = np.minimum(first[:, None, 2:], second[None, :, 2:])
    sides = np.maximum(opposite - corner + extra, 0)
    shared = sides[..., 0] * sides[..., 1]
    union = areas(first, inclusive=inclusive)[:, None] + areas(second, inclusive=inclusive)[None, :] - shared
    result: FloatArray = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return result


def pairwise_coverage(first: FloatArray, second: FloatArray) -> FloatArray:
    """Which part of every box of `first` lies inside every box of `second`.

    Args:
        first: (N, 4), xyxy.
        second: (M, 4), xyxy, same unit.

    Returns:
        (N, M), 0..1; 0 where the box of `first` has no area.
    """
    corner = np.maximum(first[:, None, :2], second[None, :, :2])
    opposite = np.minimum(first[:, None, 2:], second[None, :, 2:])
    sides = np.maximum(opposite - corner, 0)
    shared = sides[..., 0] * sides[..., 1]
    whole = np.broadcast_to(areas(first)[:, None], shared.shape)
    result: FloatArray = np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0)
    return result
