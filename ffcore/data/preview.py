"""A batch drawn as the network sees it, for people to check what is trained on."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from ffcore.data.collate import Batch
from ffcore.images.draw import BOX_COLOUR, LANDMARK_COLOURS

WITHOUT_LANDMARKS_COLOUR = (0, 165, 255)
"""BGR, orange: boxes of faces whose landmarks are not known."""

IGNORED_COLOUR = (160, 160, 160)
"""BGR, gray, with a cross: boxes that are neither faces nor background."""

_GAP = 4  # pixels between pictures
_SMALLEST_LANDMARKS = 14  # pixels; the dots would hide a smaller face


def draw_batch(batch: Batch) -> list[NDArray[np.uint8]]:
    """Each picture of a batch with its labels drawn.

    Boxes are green, orange for faces without landmarks, gray and crossed for ignored ones; the weight stands
    beside a face that does not count fully. Landmarks have the colours of `ffcore.images.draw_faces`.

    Args:
        batch: On any device.

    Returns:
        For each picture (S, S, 3) uint8, BGR.
    """
    batch = batch.to("cpu")
    images = batch.images.permute(0, 2, 3, 1).numpy().copy()  # the batch is not to be drawn on
    side = images.shape[1]
    targets = batch.targets
    for number, image in enumerate(images):
        for box in batch.ignored[number][batch.is_ignored[number]].numpy() * side:
            x1, y1, x2, y2 = _rectangle(image, box, IGNORED_COLOUR)
            cv2.line(image, (x1, y1), (x2, y2), IGNORED_COLOUR)
            cv2.line(image, (x1, y2), (x2, y1), IGNORED_COLOUR)
        real = targets.is_face[number]
        for box, points, known, weight in zip(
            targets.boxes[number][real].numpy() * side,
            targets.landmarks[number][real].numpy().reshape(-1, 5, 2) * side,
            targets.has_landmarks[number][real].tolist(),
            batch.weights[number][real].tolist(),
            strict=True,
        ):
            colour = BOX_COLOUR if known else WITHOUT_LANDMARKS_COLOUR
            x1, y1, x2, y2 = _rectangle(image, box, colour)
            if known and min(x2 - x1, y2 - y1) >= _SMALLEST_LANDMARKS:
                for (x, y), dot in zip(points.tolist(), LANDMARK_COLOURS, strict=True):
                    radius = max(1, round((x2 - x1) * 0.025))
                    cv2.circle(image, (round(x - 0.5), round(y - 0.5)), radius, dot, cv2.FILLED, cv2.LINE_AA)
            if weight < 1:
                place = (x1 + 2, max(y1 - 3, 10))
                cv2.putText(image, f"{weight:.2f}", place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, colour, 1)
    return list(images)


def contact_sheet(batch: Batch, *, columns: int | None = None) -> NDArray[np.uint8]:
    """All pictures of a batch, drawn by `draw_batch`, on one sheet.

    Args:
        batch: On any device.
        columns: Pictures in a row; by default about as many as there are rows.

    Returns:
        (H, W, 3) uint8, BGR.
    """
    pictures = draw_batch(batch)
    columns = max(1, min(columns or math.ceil(math.sqrt(len(pictures))), len(pictures)))
    rows = -(-len(pictures) // columns)
    step = pictures[0].shape[0] + _GAP
    sheet = np.full((rows * step - _GAP, columns * step - _GAP, 3), 255, np.uint8)
    for number, picture in enumerate(pictures):
        row, column = divmod(number, columns)
        top, left = row * step, column * step
        sheet[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return sheet


def _rectangle(
    image: NDArray[np.uint8], box: NDArray[np.float32], colour: tuple[int, int, int]
) -> tuple[int, int, int, int]:
    """Draws the pixels just inside a box; gives the first and last of them both ways."""
    x1, y1, x2, y2 = (round(float(value)) for value in box)
    x2, y2 = max(x2 - 1, x1), max(y2 - 1, y1)
    cv2.rectangle(image, (x1, y1), (x2, y2), colour, 1)
    return x1, y1, x2, y2
