"""Photos with faces drawn as flat squares, so that pixels can tell where each face and landmark went."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ffcore.data import ColourConfig, LabelledFaces
from ffcore.data.sample import Sample

SAME_COLOURS = ColourConfig(probability=0)
GROUND = (104, 117, 123)
FACE_COLOURS = ((0, 0, 255), (0, 255, 0), (255, 0, 0), (255, 255, 0))
DOT_COLOURS = ((255, 0, 255), (0, 255, 255), (255, 255, 255), (0, 0, 0), (0, 128, 255))


def squares(rng: np.random.Generator, *, count: int = 4, ignore: bool = False) -> Sample:
    """A photo of random size with up to `count` squares, each in its own quarter and colour, all without
    landmarks."""
    height, width = (int(side) for side in rng.integers(160, 520, 2))
    image = np.full((height, width, 3), GROUND, np.uint8)
    boxes = []
    for i in range(count):
        y0, x0 = (i // 2) * (height // 2), (i % 2) * (width // 2)
        h, w = (int(side) for side in rng.integers(12, min(height, width) // 2 - 8, 2))
        y, x = (y0 + int(rng.integers(0, height // 2 - h)), x0 + int(rng.integers(0, width // 2 - w)))
        image[y : y + h, x : x + w] = FACE_COLOURS[i]
        boxes.append([x, y, x + w, y + h])
    return Sample(image, LabelledFaces.of(boxes, ignore=np.full(count, ignore)))


def face_with_dots(*, box: tuple[int, int, int, int] = (60, 40, 140, 120)) -> Sample:
    """A photo of 240 × 200 with one face and a dot of 9 × 9 pixels in another colour for each landmark."""
    x1, y1, x2, y2 = box
    image = np.full((200, 240, 3), GROUND, np.uint8)
    image[y1:y2, x1:x2] = (90, 60, 200)
    places = ((0.25, 0.3), (0.75, 0.35), (0.5, 0.5), (0.3, 0.75), (0.7, 0.8))
    points = []
    for (u, v), colour in zip(places, DOT_COLOURS, strict=True):
        x, y = int(x1 + u * (x2 - x1)), int(y1 + v * (y2 - y1))
        image[y - 4 : y + 5, x - 4 : x + 5] = colour
        points.append([x + 0.5, y + 0.5])
    return Sample(image, LabelledFaces.of([box], landmarks=[points]))


def extent(
    image: NDArray[np.uint8], colour: tuple[int, int, int]
) -> tuple[float, float, float, float] | None:
    """x1 y1 x2 y2 around all pixels that are nearer to `colour` than half way from the ground."""
    target, ground = np.array(colour, np.float32), np.array(GROUND, np.float32)
    along = (image.astype(np.float32) - ground) @ (target - ground) / ((target - ground) ** 2).sum()
    away = np.abs(image.astype(np.float32) - (ground + along[..., None] * (target - ground))).max(axis=-1)
    rows, columns = np.nonzero((along > 0.5) & (away < 20))
    if not len(rows):
        return None
    return float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1)


def centre_of(image: NDArray[np.uint8], colour: tuple[int, int, int]) -> tuple[float, float] | None:
    """x y of the middle of all pixels of about this colour."""
    rows, columns = np.nonzero(np.abs(image.astype(np.int16) - np.array(colour)).max(axis=-1) < 40)
    if not len(rows):
        return None
    return float(columns.mean() + 0.5), float(rows.mean() + 0.5)
