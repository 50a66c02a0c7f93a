"""The colour profile of a photo, for its copies.

Networks see the numbers as they are stored, whatever colours they stand for: faces do not change with it,
and no measured AP depends on the reader. But a copy without the profile would be shown in other colours:
phones store Display P3, cameras Adobe RGB. So the copy takes the profile along.
"""

from __future__ import annotations

from pathlib import Path

from ffcore.errors import ImageError
from ffcore.images.decode import open_header

_LARGEST = 4 * 2**20
"""Bytes; profiles have some kilobytes, those of printers up to two megabytes."""


def embedded_profile(source: str | Path | bytes) -> bytes | None:
    """The ICC profile in an image file, if it fits a copy in RGB; only the header is read.

    Args:
        source: A file, or the bytes of one.

    Returns:
        The profile; None where there is none, it is damaged, or it is one of gray or CMYK values.

    Source: ICC.1:2022, 7.2, for the fields of its header.
    """
    try:
        data = source if isinstance(source, bytes) else Path(source).read_bytes()
        image = open_header(data, "the image")
        if image is None:
            return None
        with image:
            profile = image.info.get("icc_profile")
    except (OSError, ValueError, ImageError):  # of a photo that was read a moment ago: then it has none
        return None
    if not isinstance(profile, bytes) or not 128 <= len(profile) <= _LARGEST:
        return None
    whole = int.from_bytes(profile[:4], "big") == len(profile)
    return profile if whole and profile[16:20] == b"RGB " and profile[36:40] == b"acsp" else None
