"""Which files are images and videos, and what to say of one that is neither."""

from __future__ import annotations

from ffcore import filetype

# fmt: off
IMAGE_SUFFIXES = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".avif", ".tif", ".tiff", ".gif", ".bmp",
    ".dib", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k", ".jpf", ".jpx", ".ico", ".qoi", ".hdr", ".pfm",
    ".ras",
})
"""Suffixes, in lower case, of files that are taken for images when a folder is searched."""

RAW_SUFFIXES = frozenset({".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".raf", ".rw2", ".pef"})
"""Suffixes, in lower case, of what a camera's sensor saw. No reader here develops it."""

FOREIGN_PHOTO_SUFFIXES = frozenset({".heic", ".heif"}) | RAW_SUFFIXES
"""Suffixes, in lower case, of photos that people have and that cannot be read, HEIC unless pillow-heif is
installed. Not among the images, of which data sets are made; but whoever names a folder with such
photos must hear of them."""

PHOTO_SUFFIXES = IMAGE_SUFFIXES | FOREIGN_PHOTO_SUFFIXES
"""Suffixes, in lower case, of what is looked at when faces are to be found in somebody's photos."""

VIDEO_SUFFIXES = frozenset({
    ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".mts", ".m2ts", ".ts", ".wmv", ".flv",
    ".3gp", ".ogv",
})
"""Suffixes, in lower case, of files that are taken for videos."""
# fmt: on

_ADVICE = {
    "a PDF document": "export its pages as images first",
    "a PostScript file": "export it as PNG or JPEG first",
    "an SVG drawing": "export it as PNG first",
    "a zip archive": "unpack it first",
    "a RAR archive": "unpack it first",
    "a 7z archive": "unpack it first",
    "a gzip archive": "unpack it first",
    "an xz archive": "unpack it first",
    "a NumPy array": "load it with numpy.load and pass the array",
    "a HEIC photo": "pip install pillow-heif, or convert it to JPEG first",
    "a raw photo": "convert it to JPEG first",
    "a Matroska or WebM video": "name it with the suffix .mkv or .webm",
    "a Flash video": "name it with the suffix .flv",
    "an AVI video": "name it with the suffix .avi",
    "an MP4 video": "name it with the suffix .mp4",
    "a Git LFS pointer": "run git lfs pull to fetch the real file",
}
"""What to do with a file that is no image."""


def is_raw(suffix: str, head: bytes) -> bool:
    """Whether a file is a raw photo.

    Most are TIFF files whose first picture is a preview of some hundred pixels, which a reader of TIFF
    hands out as if it were the photo; so the name must tell.

    Args:
        suffix: Of its name, in any case of letters.
        head: Its first bytes, 16 are enough.
    """
    return suffix.lower() in RAW_SUFFIXES and head.startswith((b"II", b"MM"))


def describe_no_image(head: bytes) -> str | None:
    """What a file that is not an image seems to be, and what to do.

    Args:
        head: The first bytes of the file; a few hundred are enough.

    Returns:
        A phrase that completes "looks like …", or None when nothing is recognised.
    """
    kind = filetype.describe(head)
    if kind is None or kind.endswith(" image"):
        return None
    advice = _ADVICE.get(kind)
    return f"{kind}; {advice}" if advice else kind
