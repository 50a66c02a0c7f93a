"""Which kinds of file there are, by suffix and by their first bytes."""

from __future__ import annotations

# fmt: off
IMAGE_SUFFIXES = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".avif", ".tif", ".tiff", ".gif", ".bmp",
    ".dib", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k", ".jpf", ".jpx", ".ico", ".qoi", ".hdr", ".pfm",
    ".ras",
})
"""Suffixes, in lower case, of files that are taken for images when a folder is searched."""

VIDEO_SUFFIXES = frozenset({
    ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".mts", ".m2ts", ".ts", ".wmv", ".flv",
    ".3gp", ".ogv",
})
"""Suffixes, in lower case, of files that are taken for videos."""
# fmt: on

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"%PDF", "a PDF document; export its pages as images first"),
    (b"PK\x03\x04", "a zip archive (or an office document); unpack it first"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"Rar!", "a RAR archive; unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it first"),
    (b"\x1f\x8b", "a gzip archive; unpack it first"),
    (b"\x93NUMPY", "a NumPy array; load it with numpy.load and pass the array"),
    (b"\x1aE\xdf\xa3", "a Matroska or WebM video; name it with the suffix .mkv or .webm"),
    (b"FLV", "a Flash video; name it with the suffix .flv"),
    (b"%!PS", "a PostScript file; export it as PNG or JPEG first"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
)

_HEIC_BRANDS = frozenset((b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"))


def describe_bytes(data: bytes) -> str | None:
    """What a file that is not an image seems to be, judged by how it begins.

    Args:
        data: The first bytes of the file; a few hundred are enough.

    Returns:
        A phrase that completes "looks like …", or None when nothing is recognised.
    """
    for signature, phrase in _SIGNATURES:
        if data.startswith(signature):
            return phrase
    if data[:4] == b"RIFF" and data[8:12] == b"AVI ":
        return "an AVI video; name it with the suffix .avi"
    if data[4:8] == b"ftyp":
        if data[8:12] in _HEIC_BRANDS:
            return "a HEIC photo; convert it to JPEG first"
        if data[8:12] not in (b"avif", b"avis"):
            return "an MP4 video; name it with the suffix .mp4"
        return None
    # An ONNX file is a protobuf whose first field is ir_version and whose second is producer_name
    # or an opset; the name of the tool that wrote it follows within a few bytes.
    if data[:1] == b"\x08" and data[2:3] in (b"\x12", b"\x3a", b"\x42", b"\x1a"):
        return "an ONNX network"
    if data.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer; run `git lfs pull` to fetch the real file"
    return _describe_text(data)


def _describe_text(data: bytes) -> str | None:
    start = data[:512].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head")):
        return "an HTML page; the download probably failed"
    if b"<svg" in start:
        return "an SVG drawing; export it as PNG first"
    if start.startswith((b"{", b"[")):
        return "JSON"
    try:
        text = data[:512].decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < min(len(data), 512) - 4:  # a letter cut in two at the end is no sign against text
            return None
        text = data[: error.start].decode("utf-8")
    if text and all(letter.isprintable() or letter in "\r\n\t\f" for letter in text):
        return "a text file"
    return None
