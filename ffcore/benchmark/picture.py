"""A picture for those who name none: the work of reading it is that of a photo."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ffcore.images.encode import write_image

HEIGHT, WIDTH = 768, 1024
QUALITY = 90
_SEED = 1024


def write_picture(path: Path) -> None:
    """Writes a JPEG of 1024×768 pixels without faces, the same every time.

    How long a JPEG takes to decode depends on how much it holds. Noise of all sizes, each finer one
    weaker, as photos have it, makes a file of about a photo's size.

    Args:
        path: The file, with the suffix ``.jpg``.

    Raises:
        InputError: The file cannot be written.
    """
    random = np.random.default_rng(_SEED)
    pixels = np.full((HEIGHT, WIDTH, 3), 128, np.float32)
    for step in (256, 128, 64, 32, 16, 8, 4, 2, 1):
        shape = (HEIGHT // step, WIDTH // step, 3)
        noise = random.normal(0, 4 + 3 * np.log2(step), shape).astype(np.float32)
        pixels += cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    write_image(path, np.clip(pixels, 0, 255).astype(np.uint8), quality=QUALITY)
