"""One picture with its faces, on its way into a batch."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ffcore.data.annotations import AnnotatedImage, LabelledFaces
from ffcore.errors import ConfigError
from ffcore.images import read_image


@dataclass(frozen=True, eq=False)
class Sample:
    """One picture with its faces.

    Args:
        image: (H, W, 3) uint8, BGR. Transforms never write into it.
        faces: In pixels of the picture.
        names: The photos that it shows, as their labels call them.
        labelled: Whether the faces are all that there are, see `AnnotatedImage`.
        unread: Photos that it should show and that could not be read, each with the reason.

    Raises:
        ConfigError: The picture has another shape or type.
    """

    image: NDArray[np.uint8]
    faces: LabelledFaces
    names: tuple[str, ...] = ()
    labelled: bool = True
    unread: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if self.image.ndim != 3 or self.image.shape[2] != 3 or self.image.dtype != np.uint8:
            raise ConfigError(f"a sample is (H, W, 3) uint8; got {self.image.shape} {self.image.dtype}")
        if self.image.size == 0:
            raise ConfigError("a sample has no pixels")


def read_sample(image: AnnotatedImage, *, scale: float = 1.0) -> Sample:
    """A labelled photo, whole.

    Args:
        image: File and faces.
        scale: The photo and its faces are enlarged by this, above 0; below 1 by the mean of the pixels that
            each new one covers.

    Raises:
        ImageError: The file cannot be read.
    """
    pixels, faces = read_image(image.path), image.faces
    if scale != 1:
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        pixels = np.asarray(cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=method), np.uint8)
        faces = faces.moved(scale=(scale, scale), shift=(0, 0))
    return Sample(image=pixels, faces=faces, names=(image.name,), labelled=image.labelled)
