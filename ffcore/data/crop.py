"""Which square of a photo is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ffcore.data.annotations import LabelledFaces

TRIES = 250
"""Squares that are drawn before the whole photo is taken, as published."""

_AT_ONCE = 25  # most photos have a square that fits among the first few


class Square(NamedTuple):
    """A square in whole pixels of a photo; it may reach beyond the photo."""

    left: int
    top: int
    side: int


def whole_photo(height: int, width: int) -> Square:
    """The square that holds a photo in its upper left corner."""
    return Square(0, 0, max(height, width))


def random_square(
    faces: LabelledFaces,
    size: tuple[int, int],
    *,
    scales: Sequence[float],
    rng: np.random.Generator,
    anywhere: bool = False,
) -> Square | None:
    """Draws a square that contains at least one whole face and the centre of it.

    Args:
        faces: Of the photo; ignored ones and those of weight 0 do not count.
        size: Height and width of the photo.
        scales: Sides to choose from, as shares of the photo's shorter side. Above 1 the square reaches
            beyond the photo; along a side of the photo that is longer, it stays inside.
        rng: Where chance comes from.
        anywhere: Whether a square without a face will do too, where none is labelled.

    Returns:
        The square, or None when none of 250 fits.

    Source: `_crop` of the public RetinaFace training code, which draws the same way one by one.
    """
    boxes = faces.boxes[~faces.ignore & (faces.weights > 0)]
    height, width = size
    if not len(boxes):
        if not anywhere:
            return None
        side = max(int(rng.choice(np.asarray(scales)) * min(size)), 1)
        one = np.array([side])
        return Square(int(_starts(one, width, rng)[0]), int(_starts(one, height, rng)[0]), side)
    for _ in range(TRIES // _AT_ONCE):
        sides = np.maximum((rng.choice(np.asarray(scales), _AT_ONCE) * min(size)).astype(np.int64), 1)
        lefts, tops = _starts(sides, width, rng), _starts(sides, height, rng)
        whole = (
            (boxes[:, 0] >= lefts[:, None])
            & (boxes[:, 1] >= tops[:, None])
            & (boxes[:, 2] <= (lefts + sides)[:, None])
            & (boxes[:, 3] <= (tops + sides)[:, None])
        ).any(axis=1)
        if whole.any():
            first = int(whole.argmax())
            return Square(int(lefts[first]), int(tops[first]), int(sides[first]))
    return None


def faces_in(faces: LabelledFaces, square: Square) -> LabelledFaces:
    """Faces whose centre lies in the square, and ignored ones that reach into it, unchanged."""
    low = np.array([square.left, square.top])
    high = low + square.side
    centres = faces.centres
    inside = ((centres > low) & (centres < high)).all(axis=1)
    touching = ((faces.boxes[:, 2:] > low) & (faces.boxes[:, :2] < high)).all(axis=1)
    return faces[np.where(faces.ignore, touching, inside)]


def _starts(sides: NDArray[np.int64], length: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Where each square begins along one side of the photo."""
    room = length - sides
    return rng.integers(np.minimum(room, 0), np.maximum(room, 0), endpoint=True)
