"""Faces drawn onto a photo, for people to look at."""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ffcore.faces import Faces

Colour = tuple[int, int, int]

BOX_COLOUR: Colour = (80, 230, 60)
"""BGR of boxes and labels: a green that neither skin nor sky has."""

LANDMARK_COLOURS: tuple[Colour, ...] = (
    (255, 200, 0),  # left eye: sky blue
    (60, 60, 255),  # right eye: red
    (0, 220, 255),  # nose: yellow
    (255, 80, 220),  # left corner of the mouth: violet
    (255, 255, 255),  # right corner of the mouth: white
)
"""BGR of the five landmarks, in the order of `ffcore.faces.LANDMARK_NAMES`."""

_DARK: Colour = (20, 20, 20)
_SUBPIXEL_BITS = 4  # positions handed to OpenCV are in sixteenths of a pixel
_SMALLEST_TEXT = 11  # pixels; below this digits run together
_SMALLEST_LABELLED = 22  # pixels; the smallest label would be wider than such a face
_SMALLEST_LANDMARKS = 14  # pixels; five dots would cover such a face

Rectangle = tuple[int, int, int, int]


def draw_faces(
    image: NDArray[np.uint8], faces: Faces, *, scores: bool = True, landmarks: bool = True
) -> NDArray[np.uint8]:
    """Draw boxes, landmarks and scores, in sizes that suit the photo and each face.

    Labels of low scores give way to those of high ones, and faces too small to carry a label or
    landmarks get none.

    Args:
        image: (H, W, 3) uint8, BGR.
        faces: In pixels of the image; boxes may reach beyond it.
        scores: Whether the score is written at each box.
        landmarks: Whether the five points are drawn, left eye blue, right eye red, nose yellow, left
            and right corner of the mouth violet and white.

    Returns:
        (H, W, 3) uint8, a new image.
    """
    result = image.copy()
    height, width = image.shape[:2]
    diagonal = math.hypot(width, height)
    ordered = faces.by_score()
    boxes = ordered.clipped(width, height).boxes
    sides = np.maximum(ordered.sizes, 0).min(axis=1) if len(ordered) else np.zeros(0)
    strokes = [_stroke(diagonal, float(side)) for side in sides]
    for i in reversed(range(len(ordered))):  # the surest on top
        _draw_box(result, ordered.boxes[i], strokes[i])
    if landmarks:
        for i in reversed(range(len(ordered))):
            if sides[i] >= _SMALLEST_LANDMARKS:
                _draw_landmarks(result, ordered.landmarks[i], min(float(sides[i]), diagonal), strokes[i])
    if scores:
        placed: list[Rectangle] = []
        for i in range(len(ordered)):
            if sides[i] >= _SMALLEST_LABELLED and _visible(boxes[i]):
                text_size = max(_SMALLEST_TEXT, round(min(diagonal * 0.018, float(sides[i]) * 0.2)))
                label = _label(f"{ordered.scores[i]:.2f}", text_size)
                _place_label(result, label, boxes[i], strokes[i], placed)
    return result


def _stroke(diagonal: float, side: float) -> int:
    """Width of the line around a face: set by the photo, but never thick for a small face."""
    return max(1, round(min(diagonal * 0.002, side * 0.04)))


def _visible(clipped: NDArray[np.float32]) -> bool:
    return bool(clipped[2] > clipped[0] and clipped[3] > clipped[1])


def _draw_box(image: NDArray[np.uint8], box: NDArray[np.float32], stroke: int) -> None:
    height, width = image.shape[:2]
    beyond = 4 * stroke + 4  # as invisible as any place farther out
    x1, y1, x2, y2 = (
        round(float(np.clip(value, -beyond, limit + beyond)))
        for value, limit in zip(box, (width, height, width, height), strict=True)
    )
    if x2 < x1 or y2 < y1:
        return
    outside = stroke // 2
    inside = stroke - outside
    if stroke > 1:  # a dark rim keeps the line visible on bright and on green ground
        rim = _rim(stroke)
        _fill_ring(image, (x1, y1, x2, y2), outside + rim, inside + rim, _DARK)
    _fill_ring(image, (x1, y1, x2, y2), outside, inside, BOX_COLOUR)


def _rim(stroke: int) -> int:
    return max(1, round(stroke / 4)) if stroke > 1 else 0


def _fill_ring(image: NDArray[np.uint8], box: Rectangle, outside: int, inside: int, colour: Colour) -> None:
    """Colour the pixels up to `outside` beyond the edges of a box and `inside` within them.

    Lines along rows and columns need no anti-aliasing; OpenCV's would make thin ones pale.
    """
    x1, y1, x2, y2 = box
    left, right = max(0, x1 - outside), max(0, x2 + outside)
    top, bottom = max(0, y1 - outside), max(0, y2 + outside)
    image[top : max(0, y1 + inside), left:right] = colour
    image[max(0, top, y2 - inside) : bottom, left:right] = colour
    image[top:bottom, left : max(0, x1 + inside)] = colour
    image[top:bottom, max(0, left, x2 - inside) : right] = colour


def _draw_landmarks(image: NDArray[np.uint8], points: NDArray[np.float32], side: float, stroke: int) -> None:
    radius = max(0.9, side * 0.02, stroke * 0.9)
    height, width = image.shape[:2]
    one = 1 << _SUBPIXEL_BITS
    for (x, y), colour in zip(points.tolist(), LANDMARK_COLOURS, strict=True):
        if not (-radius <= x <= width + radius and -radius <= y <= height + radius):
            continue
        # Half a pixel: OpenCV's pixel centres lie on whole numbers, ours between them.
        centre = round((x - 0.5) * one), round((y - 0.5) * one)
        if radius > 2:
            rim = round((radius + max(0.8, radius * 0.3)) * one)
            cv2.circle(image, centre, rim, _DARK, cv2.FILLED, cv2.LINE_AA, _SUBPIXEL_BITS)
        cv2.circle(image, centre, round(radius * one), colour, cv2.FILLED, cv2.LINE_AA, _SUBPIXEL_BITS)


@lru_cache(maxsize=512)
def _label(text: str, size: int) -> NDArray[np.uint8]:
    """(h, w, 3) BGR: dark text on the colour of the boxes. Never changed, so that it can be kept."""
    font = ImageFont.load_default(size)
    top, bottom = (round(edge) for edge in font.getbbox("0123456789.")[1::2])
    padding = max(1, size // 5)
    text_width = math.ceil(font.getlength(text))
    canvas = Image.new("RGB", (text_width + 2 * padding, bottom - top + 2 * padding), BOX_COLOUR[::-1])
    ImageDraw.Draw(canvas).text((padding, padding - top), text, fill=_DARK[::-1], font=font)
    label = np.ascontiguousarray(np.asarray(canvas)[..., ::-1])
    label.flags.writeable = False
    return label


def _place_label(
    image: NDArray[np.uint8],
    label: NDArray[np.uint8],
    clipped: NDArray[np.float32],
    stroke: int,
    placed: list[Rectangle],
) -> None:
    """Paste a label above, below or inside its box, where it hides no other; else leave it out."""
    height, width = label.shape[:2]
    if width > image.shape[1] or height > image.shape[0]:
        return
    x1, y1, _, y2 = (round(float(value)) for value in clipped)
    rim = stroke // 2 + _rim(stroke)
    x = min(max(0, x1 - rim), image.shape[1] - width)
    for y in (y1 - rim - height, y2 + rim, y1 + rim + 1):
        spot = (x, y, x + width, y + height)
        if y >= 0 and y + height <= image.shape[0] and not any(_overlap(spot, other) for other in placed):
            image[y : y + height, x : x + width] = label
            placed.append(spot)
            return


def _overlap(a: Rectangle, b: Rectangle) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
