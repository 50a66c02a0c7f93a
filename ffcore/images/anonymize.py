"""Faces made unrecognisable for good."""

from __future__ import annotations

import math
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from ffcore.errors import ConfigError, did_you_mean
from ffcore.faces import Faces

Method = Literal["blur", "pixelate", "solid"]
METHODS: tuple[Method, ...] = ("blur", "pixelate", "solid")

# What remains of a face is at most 6 × 6 colours, however large it is, and never detail below 4
# pixels: a light blur can be undone, an average over a sixth of a face cannot. Networks that were
# trained for it still tell a few known people apart on mosaics (McPherson, Shokri and Shmatikov,
# "Defeating Image Obfuscation with Deep Learning", 2016); only "solid" leaves nothing at all.
CELLS = 6
SMALLEST_CELL = 4
MARGIN = 0.15
_SMOOTH_SIZE = 96


def anonymize(
    image: NDArray[np.uint8],
    faces: Faces,
    *,
    method: Method = "blur",
    margin: float = MARGIN,
    shape: Literal["ellipse", "rectangle"] = "ellipse",
) -> NDArray[np.uint8]:
    """Hide faces so that nobody can bring them back.

    Args:
        image: (H, W, 3) uint8, BGR.
        faces: In pixels of the image; boxes may reach beyond it.
        method: "blur" and "pixelate" reduce a face to at most 6 × 6 colours, "solid" paints it black.
        margin: How far the hidden region reaches beyond each side of the box, as a part of the side.
        shape: An ellipse leaves more of the background, a rectangle less of hair and ears.

    Returns:
        (H, W, 3) uint8, a new image; every pixel outside the regions is as it was.

    Raises:
        ConfigError: An unknown method or shape, or a negative margin.
    """
    if method not in METHODS:
        raise ConfigError(f"method {method!r} hides no faces; {did_you_mean(str(method), METHODS)}")
    if shape not in ("ellipse", "rectangle"):
        raise ConfigError(f"shape {shape!r} is unknown; choose ellipse or rectangle")
    if not (math.isfinite(margin) and margin >= 0):
        raise ConfigError(f"margin is {margin}, but 0 or more is needed")
    result = image.copy()
    for box in faces.boxes.astype(np.float64):
        left, top, right, bottom = _region(box, margin)
        x1, y1 = max(0, left), max(0, top)
        x2, y2 = min(image.shape[1], right), min(image.shape[0], bottom)
        if x1 >= x2 or y1 >= y2:
            continue
        part = result[y1:y2, x1:x2]  # of the result: where faces overlap, nothing comes back
        hidden = _hide(part, method)
        if shape == "rectangle":
            part[:] = hidden
        else:
            inside = _ellipse((left, top, right, bottom), (x1, y1, x2, y2))
            part[inside] = hidden[inside]
    return result


def _region(box: NDArray[np.float64], margin: float) -> tuple[int, int, int, int]:
    """The enlarged box in whole pixels, at least one, outermost edges included."""
    x1, x2 = sorted((box[0], box[2]))
    y1, y2 = sorted((box[1], box[3]))
    dx, dy = (x2 - x1) * margin, (y2 - y1) * margin
    left, top = math.floor(x1 - dx), math.floor(y1 - dy)
    return left, top, max(left + 1, math.ceil(x2 + dx)), max(top + 1, math.ceil(y2 + dy))


def _hide(part: NDArray[np.uint8], method: Method) -> NDArray[np.uint8]:
    if method == "solid":
        return np.zeros_like(part)
    height, width = part.shape[:2]
    cell = max(SMALLEST_CELL, max(width, height) / CELLS)
    columns, rows = max(1, int(width / cell)), max(1, int(height / cell))
    few: Any = cv2.resize(part, (columns, rows), interpolation=cv2.INTER_AREA)
    if method == "pixelate":
        few = cv2.resize(few, (width, height), interpolation=cv2.INTER_NEAREST)
    else:
        # Smoothed at a small size: a kernel of half a large face would take seconds.
        shrink = max(1.0, max(width, height) / _SMOOTH_SIZE)
        middle = max(columns, round(width / shrink)), max(rows, round(height / shrink))
        few = cv2.resize(few, middle, interpolation=cv2.INTER_LINEAR)
        few = cv2.GaussianBlur(few, (0, 0), sigmaX=cell / shrink / 2)  # hides the seams between the cells
        few = cv2.resize(few, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(few, dtype=np.uint8)


def _ellipse(whole: tuple[int, int, int, int], visible: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    """(H, W) bool: the pixels of the visible part whose centre lies within the ellipse of the whole."""
    left, top, right, bottom = whole
    x = np.arange(visible[0], visible[2]) + 0.5
    y = np.arange(visible[1], visible[3]) + 0.5
    across = ((2 * x - left - right) / (right - left)) ** 2
    down = ((2 * y - top - bottom) / (bottom - top)) ** 2
    return across[None, :] + down[:, None] <= 1.0
