"""Boxes and landmarks as offsets from anchors, and back.

The one coder of the project: targets of the loss, decoding after the network and the decode that
may ride in an exported graph. It uses operators and five functions that NumPy and torch share under the
same name, so arrays and tensors (with gradients) go through the same lines. Units are those of the
anchors: relative to the image, or pixels.

Source: SSD (Liu et al. 2016, section 2.2) with the variances of its public code.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

ArrayT = TypeVar("ArrayT", "NDArray[np.floating[Any]]", "Tensor")

SMALLEST_SIZE = 1e-6
"""Sides below this fraction of the anchor are encoded as if they had it; a side of 0 has no logarithm."""


def _functions(array: Any) -> Any:
    """The module whose functions take `array`: numpy, or torch if a tensor shows that it is loaded."""
    return np if isinstance(array, np.ndarray) else sys.modules["torch"]


def encode_boxes(boxes: ArrayT, anchors: ArrayT, *, variances: tuple[float, float] = (0.1, 0.2)) -> ArrayT:
    """Offsets that describe `boxes` from `anchors`, one to one.

    A box without width or height does not give an infinite target: its side is encoded as `SMALLEST_SIZE`
    of the anchor's. The published code lets the infinity through.

    Args:
        boxes: (..., 4), xyxy.
        anchors: (..., 4), cx cy w h in the unit of the boxes.
        variances: Divisors of centre and size offsets.

    Returns:
        (..., 4): offsets of centre x, centre y, width, height.
    """
    xp = _functions(boxes)
    centres = (boxes[..., :2] + boxes[..., 2:]) / 2
    ratios = xp.clip((boxes[..., 2:] - boxes[..., :2]) / anchors[..., 2:], SMALLEST_SIZE, None)
    centre_offsets = (centres - anchors[..., :2]) / (anchors[..., 2:] * variances[0])
    offsets: ArrayT = xp.concatenate((centre_offsets, xp.log(ratios) / variances[1]), -1)
    return offsets


def decode_boxes(offsets: ArrayT, anchors: ArrayT, *, variances: tuple[float, float] = (0.1, 0.2)) -> ArrayT:
    """Boxes that `offsets` describe from `anchors`; the inverse of `encode_boxes`.

    Args:
        offsets: (..., 4), raw network output.
        anchors: (..., 4), cx cy w h.
        variances: Divisors of centre and size offsets.

    Returns:
        (..., 4), xyxy in the unit of the anchors, not clipped.
    """
    xp = _functions(offsets)
    sizes = anchors[..., 2:] * xp.exp(offsets[..., 2:] * variances[1])
    corner = anchors[..., :2] + offsets[..., :2] * variances[0] * anchors[..., 2:] - sizes / 2
    boxes: ArrayT = xp.concatenate((corner, corner + sizes), -1)
    return boxes


def encode_landmarks(
    points: ArrayT, anchors: ArrayT, *, variances: tuple[float, float] = (0.1, 0.2)
) -> ArrayT:
    """Offsets that describe landmarks from the anchors' centres.

    Args:
        points: (..., 2 K): x y of K points, one after the other.
        anchors: (..., 4), cx cy w h in the unit of the points.
        variances: Only the first counts.

    Returns:
        (..., 2 K).
    """
    centres, sizes = _repeated(anchors, points.shape[-1] // 2)
    offsets: ArrayT = (points - centres) / (sizes * variances[0])
    return offsets


def decode_landmarks(
    offsets: ArrayT, anchors: ArrayT, *, variances: tuple[float, float] = (0.1, 0.2)
) -> ArrayT:
    """Landmarks that `offsets` describe; the inverse of `encode_landmarks`.

    Args:
        offsets: (..., 2 K), raw network output.
        anchors: (..., 4), cx cy w h.
        variances: Only the first counts.

    Returns:
        (..., 2 K): x y of K points in the unit of the anchors.
    """
    centres, sizes = _repeated(anchors, offsets.shape[-1] // 2)
    points: ArrayT = centres + offsets * variances[0] * sizes
    return points


def _repeated(anchors: ArrayT, count: int) -> tuple[ArrayT, ArrayT]:
    """Centres and sizes of anchors, each written `count` times along the last axis."""
    xp = _functions(anchors)
    return (
        xp.concatenate((anchors[..., :2],) * count, -1),
        xp.concatenate((anchors[..., 2:],) * count, -1),
    )
