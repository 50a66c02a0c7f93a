"""What a result file says about one image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ffcore.errors import ConfigError
from ffcore.faces import Faces


@dataclass(frozen=True)
class ImageFaces:
    """The faces of one image, with its name and size.

    Args:
        image: How the reader of the file knows the image, mostly its path.
        width: Pixels.
        height: Pixels.
        faces: In pixels of the image.

    Raises:
        ConfigError: The image has no pixels.
    """

    image: str
    width: int
    height: int
    faces: Faces

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise ConfigError(f"{self.image}: an image of {self.width} x {self.height} pixels has no faces")


def short(value: np.float32) -> float:
    """The number with the fewest digits that is still this float32, so that 12.3 is not 12.30000019."""
    return float(str(np.float32(value)))
