"""Pixels in and out: reading, writing, drawing, hiding faces, video frames."""

from __future__ import annotations

from ffcore.images.anonymize import METHODS, anonymize
from ffcore.images.decode import DEFAULT_MAX_PIXELS, read_image
from ffcore.images.draw import draw_faces
from ffcore.images.encode import WRITABLE_SUFFIXES, write_image
from ffcore.images.kinds import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from ffcore.images.profile import embedded_profile
from ffcore.images.sources import Source, find_sources, kind_of
from ffcore.images.video import VideoReader
from ffcore.images.video_writer import WRITABLE_VIDEO_SUFFIXES, VideoWriter

__all__ = [
    "DEFAULT_MAX_PIXELS",
    "IMAGE_SUFFIXES",
    "METHODS",
    "VIDEO_SUFFIXES",
    "WRITABLE_SUFFIXES",
    "WRITABLE_VIDEO_SUFFIXES",
    "Source",
    "VideoReader",
    "VideoWriter",
    "anonymize",
    "draw_faces",
    "embedded_profile",
    "find_sources",
    "kind_of",
    "read_image",
    "write_image",
]
