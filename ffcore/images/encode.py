"""From pixels to a file."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ffcore.errors import ConfigError, InputError, did_you_mean, one_line
from ffcore.files import replacing

WRITABLE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".avif", ".tif", ".tiff", ".bmp")
"""Suffixes that `write_image` understands, in lower case."""


def write_image(path: str | Path, image: NDArray[np.uint8], *, quality: int = 95) -> None:
    """Write an image in the format that the suffix names; the file appears whole or not at all.

    Args:
        path: The file; missing folders above it are made, an older file is replaced.
        image: (H, W, 3) uint8, BGR.
        quality: 1..100, for JPEG, WebP and AVIF.

    Raises:
        InputError: The suffix is unknown, the folder cannot be written to, the disk is full, or the
            picture is too large for the format.
        ConfigError: `image` or `quality` is not of the kind above.
    """
    path = Path(path)
    try:
        data = encode_image(image, suffix=path.suffix, quality=quality)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    with replacing(path) as partial:
        partial.write_bytes(data)


def encode_image(image: NDArray[np.uint8], *, suffix: str, quality: int = 95) -> bytes:
    """The content of an image file.

    Args:
        image: (H, W, 3) uint8, BGR.
        suffix: One of `WRITABLE_SUFFIXES`, in any case of letters.
        quality: 1..100, for JPEG, WebP and AVIF.

    Returns:
        The encoded image, without metadata.

    Raises:
        InputError: The suffix is unknown, or the picture is too large for the format.
        ConfigError: `image` or `quality` is not of the kind above.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ConfigError(f"an image to write is (H, W, 3) uint8; got {image.shape} {image.dtype}")
    if not 1 <= quality <= 100:
        raise ConfigError(f"quality is {quality}, but 1..100 is possible")
    given, suffix = suffix, suffix.lower()
    if suffix not in WRITABLE_SUFFIXES:
        what = f"the suffix {given!r}" if suffix else "a name without suffix"
        raise InputError(f"images are not written to {what}; {did_you_mean(suffix, WRITABLE_SUFFIXES)}")
    try:
        if suffix == ".avif":  # not every build of OpenCV has it
            buffer = io.BytesIO()
            Image.fromarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)).save(buffer, "AVIF", quality=quality)
            return buffer.getvalue()
        parameters = {
            ".jpg": [cv2.IMWRITE_JPEG_QUALITY, quality],
            ".jpeg": [cv2.IMWRITE_JPEG_QUALITY, quality],
            ".webp": [cv2.IMWRITE_WEBP_QUALITY, quality],
        }.get(suffix, [])
        done, data = cv2.imencode(suffix, image, parameters)
    except (cv2.error, OSError, ValueError) as error:
        done, reason = False, one_line(error)
    else:
        reason = "the encoder gave no reason"
    if not done:
        height, width = image.shape[:2]
        raise InputError(f"{width} × {height} pixels cannot be written as {suffix[1:].upper()}: {reason}")
    return data.tobytes()
