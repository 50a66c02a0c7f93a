"""Pixels in and out: reading, writing, drawing, hiding faces, video frames."""

from __future__ import annotations

from ffcore.images.decode import DEFAULT_MAX_PIXELS, read_image

__all__ = ["DEFAULT_MAX_PIXELS", "read_image"]
