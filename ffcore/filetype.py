"""What a file really is, from its first bytes: most wrong files are another kind of file."""

from __future__ import annotations

import re

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"FUJIFILMCCD-RAW", "a raw photo"),
    (b"%PDF", "a PDF document"),
    (b"%!PS", "a PostScript file"),
    (b"PK\x03\x04", "a zip archive"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x1aE\xdf\xa3", "a Matroska or WebM video"),
    (b"FLV", "a Flash video"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"version https://git-lfs", "a Git LFS pointer"),
)

_JSON = re.compile(rb"[\[{]\s*([\[{\]}\"\d-]|true|false|null|$)")
_HEIC_BRANDS = frozenset((b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"))


def describe(head: bytes) -> str | None:
    """Names the kind of a file, for the end of an error message.

    Args:
        head: The first bytes, 512 are plenty.

    Returns:
        For instance "an HTML page", or None when nothing is known.
    """
    if not head:
        return "an empty file"
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    if head[:4] == b"RIFF":
        return {b"WEBP": "a WebP image", b"AVI ": "an AVI video"}.get(head[8:12])
    if head[4:8] == b"ftyp":
        if head[8:12] in _HEIC_BRANDS:
            return "a HEIC photo"
        if head[8:12] == b"crx ":  # Canon's CR3
            return "a raw photo"
        return "an AVIF image" if head[8:12] in (b"avif", b"avis") else "an MP4 video"
    if is_safetensors(head):
        return "a safetensors file"
    if is_onnx(head):
        return "an ONNX file"
    return _describe_text(head)


def is_zip(head: bytes) -> bool:
    """Whether these bytes begin a zip archive, which a torch checkpoint is."""
    return head.startswith(b"PK\x03\x04")


def is_pickle(head: bytes) -> bool:
    """Whether these bytes begin a pickle, which a torch checkpoint of old is."""
    return head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")


def is_safetensors(head: bytes) -> bool:
    """Whether these bytes begin a safetensors file: the length of a header, then the header."""
    return len(head) > 9 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 100_000_000


def is_onnx(head: bytes) -> bool:
    """Whether these bytes look like an ONNX model.

    That is a protobuf whose first field is the version of the format, and whose second one the name of
    the tool, its domain, the graph or an opset.
    """
    return (
        head[:1] == b"\x08" and head[1:2] < b"\x20" and head[2:3] in (b"\x12", b"\x1a", b"\x22", b":", b"B")
    )


def _describe_text(head: bytes) -> str | None:
    start = head[:512].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head")):
        return "an HTML page (did the download end at a login or error page?)"
    if b"<svg" in start:
        return "an SVG drawing"
    if _JSON.match(start):
        return "a JSON file"
    try:
        text = head[:512].decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < min(len(head), 512) - 4:  # a letter cut in two at the end is no sign against text
            return None
        text = head[: error.start].decode("utf-8")
    if text and all(letter.isprintable() or letter in "\r\n\t\f" for letter in text):
        return "a text file"
    return None
