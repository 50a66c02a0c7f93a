"""From pixels to a file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ffcore.errors import ConfigError, InputError, one_line
from ffcore.files import replacing

WRITABLE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".avif", ".tif", ".tiff", ".bmp")
"""Suffixes that `write_image` understands, in lower case."""

# Options by which Pillow writes what OpenCV does, as fast and as small: a PNG at its own default takes four
# times as long, and a TIFF without the predictor three times the space.
_PILLOW: dict[str, tuple[str, dict[str, Any]]] = {
    ".jpg": ("JPEG", {}),
    ".jpeg": ("JPEG", {}),
    ".png": ("PNG", {"compress_level": 1}),
    ".webp": ("WEBP", {}),
    ".avif": ("AVIF", {}),
    ".tif": ("TIFF", {"compression": "tiff_lzw", "tiffinfo": {317: 2}}),
    ".tiff": ("TIFF", {"compression": "tiff_lzw", "tiffinfo": {317: 2}}),
}


def write_image(
    path: str | Path, image: NDArray[np.uint8], *, quality: int = 95, profile: bytes | None = None
) -> None:
    """Write an image in the format that the suffix names; the file appears whole or not at all.

    Args:
        path: The file; missing folders above it are made, an older file is replaced.
        image: (H, W, 3) uint8, BGR.
        quality: 1..100, for JPEG, WebP and AVIF.
        profile: An ICC profile of RGB values to put in, as `embedded_profile` gives it; BMP holds none.

    Raises:
        InputError: The suffix is unknown, the folder cannot be written to, the disk is full, or the
            picture is too large for the format.
        ConfigError: `image` or `quality` is not of the kind above.
    """
    path = Path(path)
    try:
        data = encode_image(image, suffix=path.suffix, quality=quality, profile=profile)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    with replacing(path) as partial:
        partial.write_bytes(data)


def encode_image(
    image: NDArray[np.uint8], *, suffix: str, quality: int = 95, profile: bytes | None = None
) -> bytes:
    """The content of an image file.

    Args:
        image: (H, W, 3) uint8, BGR.
        suffix: One of `WRITABLE_SUFFIXES`, in any case of letters.
        quality: 1..100, for JPEG, WebP and AVIF.
        profile: An ICC profile of RGB values to put in, as `embedded_profile` gives it; BMP holds none.

    Returns:
        The encoded image, without metadata but the profile.

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
        raise InputError(f"images are not written to {what}; use one of {', '.join(WRITABLE_SUFFIXES)}")
    try:
        # OpenCV writes no profiles, and not every build of it AVIF
        if suffix == ".avif" or (profile is not None and suffix in _PILLOW):
            return _with_pillow(image, suffix, quality, profile)
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


def _with_pillow(image: NDArray[np.uint8], suffix: str, quality: int, profile: bytes | None) -> bytes:
    """The same pixels that OpenCV would write, in the same format."""
    format_, options = _PILLOW[suffix]
    buffer = io.BytesIO()
    picture = Image.fromarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
    if format_ != "TIFF":  # which refuses to hear of it
        options = {"quality": quality, **options}
    picture.save(buffer, format_, icc_profile=profile, **options)
    return buffer.getvalue()
