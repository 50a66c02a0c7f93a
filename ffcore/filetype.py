"""What a file really is, from its first bytes: most wrong files are another kind of file."""

from __future__ import annotations

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself (run git lfs pull)"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"%PDF", "a PDF document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"\x7fELF", "a program"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x89HDF", "an HDF5 file"),
)


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
    if head[4:12] in (b"ftypavif", b"ftypheic", b"ftypmif1"):
        return "an AVIF or HEIC image"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "a WebP image"
    if is_zip(head):
        return "a zip archive"
    if is_safetensors(head):
        return "a safetensors file"
    if is_onnx(head):
        return "an ONNX file"
    start = head.lstrip()[:64].lower()
    if start.startswith((b"<!doctype", b"<html", b"<head")):
        return "an HTML page (a download that went to a login or error page?)"
    if start.startswith((b"<?xml", b"<svg")):
        return "an XML file"
    if start.startswith((b"{", b"[")):
        return "a JSON file"
    if all(byte in b"\t\n\r\f" or 32 <= byte < 127 for byte in head):
        return "a text file"
    return None


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
    """Whether these bytes look like an ONNX model: field 1, its format version, then more fields."""
    return head[:1] == b"\x08" and head[2:3] in (b"\x12", b"\x1a", b"\x22", b":", b"B") and head[1] < 32
