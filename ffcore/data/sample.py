"""One picture with its faces, on its way into a batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ffcore.data.annotations import LabelledFaces
from ffcore.errors import ConfigError


@dataclass(frozen=True, eq=False)
class Sample:
    """One picture with its faces.

    Args:
        image: (H, W, 3) uint8, BGR. Transforms never write into it.
        faces: In pixels of the picture.
        names: The photos that it shows, as their labels call them.
        labelled: Whether the faces are all that there are, see `AnnotatedImage`.

    Raises:
        ConfigError: The picture has another shape or type.
    """

    image: NDArray[np.uint8]
    faces: LabelledFaces
    names: tuple[str, ...] = ()
    labelled: bool = True

    def __post_init__(self) -> None:
        if self.image.ndim != 3 or self.image.shape[2] != 3 or self.image.dtype != np.uint8:
            raise ConfigError(f"a sample is (H, W, 3) uint8; got {self.image.shape} {self.image.dtype}")
        if self.image.size == 0:
            raise ConfigError("a sample has no pixels")
