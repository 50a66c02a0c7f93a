"""Small data sets on disk, drawn on the spot."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ffcore.images import write_image

POINTS = "12 12 0 18 12 0 15 15 0 12 18 0 18 18 0"
UNKNOWN = " ".join(["-1.0"] * 15)


def photo(path: Path, *, width: int = 64, height: int = 48, gray: bool = False) -> Path:
    """A coloured (or gray) picture of its own."""
    rows, columns = np.mgrid[:height, :width]
    image = np.stack([rows * 5, columns * 3, rows + columns], axis=-1).astype(np.uint8)
    if gray:
        image[:] = image[..., :1]
    write_image(path, image)
    return path


def retinaface(
    folder: Path, text: str, *, photos: tuple[str, ...] = ("a/1.jpg", "a/2.jpg", "b/3.jpg")
) -> Path:
    """A RetinaFace folder with `text` as its labels."""
    for name in photos:
        photo(folder / "images" / name)
    (folder / "label.txt").write_text(text, encoding="utf-8")
    return folder
