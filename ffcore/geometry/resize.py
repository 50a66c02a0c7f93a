"""From a photo to a network's input, keeping the way back."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ffcore.errors import ConfigError
from ffcore.faces import Faces

MEAN_BGR = (104, 117, 123)
"""What every network subtracts; a border of this colour is a border of zeros."""


@dataclass(frozen=True, eq=False)
class Resized:
    """An image as a network gets it, and how to come back.

    Args:
        image: (H, W, 3) uint8, the resized photo in the top left corner, the mean colour right and below.
            It may share memory with the photo.
        height: Rows that the photo takes; below is border.
        width: Columns that the photo takes.
        scale_x: Input pixels per photo pixel; differs from `scale_y` by rounding only.
        scale_y: The same for rows.
    """

    image: NDArray[np.uint8]
    height: int
    width: int
    scale_x: float
    scale_y: float

    @property
    def shrunk(self) -> bool:
        """Whether detail was lost on the way."""
        return min(self.scale_x, self.scale_y) < 1

    def to_photo(self, faces: Faces) -> Faces:
        """Faces in input pixels as faces in photo pixels."""
        if self.scale_x == 1 and self.scale_y == 1:
            return faces
        return faces.transformed(scale=(1 / self.scale_x, 1 / self.scale_y))


@dataclass(frozen=True)
class ResizePolicy:
    """How a photo becomes a network's input; without a choice it keeps its size.

    The aspect ratio is always kept, up to whole pixels. Borders are added right and below, so a photo
    and its input have the same origin: coordinates differ by a factor only.

    Args:
        size: Height and width of the input, for a network that takes no other; the photo is enlarged or
            shrunk to fit and the rest filled. Excludes the others.
        short_side: The shorter side gets so many pixels.
        max_side: The longer side gets at most so many pixels, whatever `short_side` says.
        multiple: Height and width of the input are filled up to a multiple of this. The networks need
            none; 32 keeps every level's grid whole and lets photos share a batch.

    Raises:
        ConfigError: A number is below 1, or choices exclude each other.
    """

    size: tuple[int, int] | None = None
    short_side: int | None = None
    max_side: int | None = None
    multiple: int = 32

    def __post_init__(self) -> None:
        if self.size is not None and (self.short_side is not None or self.max_side is not None):
            raise ConfigError("a fixed size excludes short_side and max_side")
        numbers = [*(self.size or ()), self.short_side, self.max_side, self.multiple]
        if any(number is not None and number < 1 for number in numbers):
            raise ConfigError(f"sizes in pixels must be at least 1: {self}")

    def target(self, height: int, width: int) -> tuple[int, int]:
        """Height and width that a photo takes inside its input, before borders."""
        long, short = max(height, width), min(height, width)
        factor = 1.0
        if self.size is not None:
            factor = min(self.size[0] / height, self.size[1] / width)
        if self.short_side is not None:
            factor = self.short_side / short
        if self.max_side is not None and long * factor > self.max_side:
            factor = self.max_side / long
        return max(round(height * factor), 1), max(round(width * factor), 1)

    def apply(self, image: NDArray[np.uint8]) -> Resized:
        """Make the input for a network.

        Args:
            image: (H, W, 3) uint8 BGR.

        Returns:
            The input and the way back.

        Raises:
            ConfigError: The image has another shape or no pixels.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
            raise ConfigError(f"an image of shape (H, W, 3) is needed, got {image.shape}")
        height, width = image.shape[:2]
        rows, columns = self.target(height, width)
        if self.size is not None:
            full = self.size
        else:
            full = (-(-rows // self.multiple) * self.multiple, -(-columns // self.multiple) * self.multiple)
        return Resized(
            image=_padded(_resized(image, rows, columns), *full),
            height=rows,
            width=columns,
            scale_x=columns / width,
            scale_y=rows / height,
        )


def _resized(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """`image` at another size, each pixel of a smaller one averaging all that it covers."""
    if image.shape[:2] == (height, width):
        return image
    smaller = height <= image.shape[0] and width <= image.shape[1]
    # Linear interpolation would skip pixels when shrinking by more than two, and small faces with them.
    method = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=method), np.uint8)


def _padded(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """`image` with the mean colour right and below."""
    if image.shape[:2] == (height, width):
        return image
    canvas = np.empty((height, width, 3), np.uint8)
    rows, columns = image.shape[:2]
    canvas[:rows, :columns] = image
    canvas[rows:] = MEAN_BGR
    canvas[:rows, columns:] = MEAN_BGR
    return canvas
