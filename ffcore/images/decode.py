"""From whatever a user calls an image to upright BGR pixels.

Pillow reads the header: format, size, and the orientation a camera noted. Plain JPEGs, nearly all
of what is ever detected on, are then decoded by OpenCV, which takes half the time for the same
pixels; but OpenCV hands out half a picture for half a file, so this way is only taken when the
end of the file is proven. Everything else goes through Pillow, which complains about what is cut.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ffcore.errors import ConfigError, ImageError, one_line
from ffcore.filetype import describe
from ffcore.images.jpeg import jpeg_is_complete
from ffcore.images.kinds import describe_no_image, is_raw

DEFAULT_MAX_PIXELS = 200_000_000
"""Pixels a picture may have before it is taken for a decompression bomb: 600 MB as BGR."""

_MAX_BYTES = 2**31

# In the order of how often they are met. A list rather than all that Pillow knows: EPS would start
# Ghostscript on the user's file, and formats without a signature claim text files as their own.
_FORMATS = (
    *("JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "ICO", "QOI", "DIB"),
    *("PSD", "ICNS", "DDS", "PCX", "SGI"),
)

_ORIENTATION_TAG = 0x0112


def read_image(
    source: str | Path | bytes | Image.Image | NDArray[Any],
    *,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    name: str | None = None,
) -> NDArray[np.uint8]:
    """Read an image as upright 8-bit BGR, as OpenCV and the networks have it.

    Files and bytes are turned upright by their EXIF orientation. 16 bits per channel are reduced
    to the upper 8. Transparent pictures are laid on white, as browsers and viewers show them: the
    colours stored below transparent pixels are accidental, and on black the outline of dark hair
    would be lost. Of an animated file the first frame is read.

    Args:
        source: A file, the bytes of one, a Pillow image, or an array: (H, W) or (H, W, 1) gray,
            (H, W, 3) BGR or (H, W, 4) BGRA, of uint8 or uint16.
        max_pixels: The largest width × height that is decoded.
        name: How errors name the image; by default the path, or what kind of object it is. That of bytes
            also tells raw photos, most of which hold a small picture that would be read in their place.

    Returns:
        (H, W, 3) uint8, BGR, contiguous. A contiguous uint8 BGR array is returned as it is, not copied.

    Raises:
        ImageError: The image cannot be read; the message says why, in one line.
        ConfigError: `source` is no kind of image at all.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source, name=name or "the array")
    if isinstance(source, Image.Image):
        name = name or str(getattr(source, "filename", "") or "the image")
        return _from_pillow(source, name=name, max_pixels=max_pixels)
    if isinstance(source, bytes | bytearray | memoryview):
        data = bytes(source)
        _refuse_raw(name or "", data, name=name or "the bytes")
        return _from_bytes(data, name=name or "the bytes", max_pixels=max_pixels)
    if isinstance(source, str | Path):
        data, name = _read_file(source), name or str(source)
        _refuse_raw(source, data, name=name)
        return _from_bytes(data, name=name, max_pixels=max_pixels)
    raise ConfigError(
        f"an image is a path, bytes, a Pillow image or a NumPy array, not {type(source).__name__}"
    )


def _refuse_raw(path: str | Path, data: bytes, *, name: str) -> None:
    if is_raw(Path(path).suffix, data[:16]):
        raise ImageError(name, "is not an image; it looks like a raw photo; convert it to JPEG first")


def _read_file(source: str | Path) -> bytes:
    path = Path(source)
    try:
        size = path.stat().st_size
        if size > _MAX_BYTES:  # a film named like a photo should not fill the memory first
            raise ImageError(source, f"is {size / 1e9:.1f} GB large, which no image is")
        return path.read_bytes()
    except FileNotFoundError:
        if str(source).startswith(("http://", "https://")):
            raise ImageError(source, "is an address; download the image first") from None
        raise ImageError(source, "does not exist") from None
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL in it
        if _is_folder(path):  # what opening a folder raises depends on the system
            raise ImageError(source, "is a folder, not an image") from None
        if isinstance(error, PermissionError):
            raise ImageError(source, "may not be read; check its permissions") from None
        raise ImageError(source, f"cannot be read: {one_line(error)}") from None


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def _from_bytes(data: bytes, *, name: str, max_pixels: int) -> NDArray[np.uint8]:
    if not data:
        raise ImageError(name, "is empty (0 bytes)")
    image = open_header(data, name)
    if image is None:
        return _with_opencv_alone(data, name=name, max_pixels=max_pixels)
    with image:
        _check_size(image.size, name, max_pixels)
        if image.format in ("JPEG", "MPO"):
            if not jpeg_is_complete(data):
                raise ImageError(
                    name, "is truncated: the end of the JPEG is missing; copy or download it again"
                )
            if image.mode in ("L", "RGB"):
                orientation = _orientation(image)
                flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
                pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
                # OpenCV shrinks nothing by itself; another size would mean that it read another picture.
                if pixels is not None and pixels.shape[1::-1] == image.size:
                    return upright(_as_uint8(pixels), orientation)
        return _from_pillow(image, name=name, max_pixels=max_pixels)


def open_header(data: bytes, name: str) -> Image.Image | None:
    """The image with its header read, or None when no format fits.

    Pillow's own `open` checks the size against a limit that belongs to the whole process and is below
    ours, so the plugins are asked one by one, as it does.
    """
    damage: Exception | None = None
    for make_known in (
        Image.preinit,
        Image.init,
    ):  # all costs 70 ms the first time
        make_known()
        for each in _FORMATS:
            if each not in Image.OPEN:
                continue
            factory, accept = Image.OPEN[each]
            try:
                verdict = accept(data[:16]) if accept else True
            except Exception:  # some unpack more bytes than a very short file has
                continue
            if isinstance(verdict, str) or not verdict:  # a string says why this build of Pillow cannot
                continue
            try:
                return factory(io.BytesIO(data), "")
            except Image.DecompressionBombError as error:
                raise ImageError(name, f"is too large for Pillow: {one_line(error)}") from None
            except Exception as error:  # plugins raise anything: SyntaxError, struct.error, IndexError, …
                damage = error
    if describe(data[:16]) == "a HEIC photo":  # last, as some AVIF files begin with the same words
        return _open_heic(data, name)
    if damage is not None:
        raise ImageError(name, f"is truncated or damaged: {one_line(damage)}")
    return None


def _open_heic(data: bytes, name: str) -> Image.Image | None:
    """A HEIC photo, by a plugin that is asked by itself: registered, it would be part of everybody's Pillow.

    It turns photos upright and says so in their EXIF; None where it is not installed.
    """
    try:
        from pillow_heif import HeifImageFile
    except ImportError:
        return None
    try:
        image: Image.Image = HeifImageFile(io.BytesIO(data), "")  # type: ignore[no-untyped-call]
    except Exception as error:  # as the plugins of Pillow
        raise ImageError(name, f"is truncated or damaged: {one_line(error)}") from None
    return image


def _check_size(size: tuple[int, int], name: str, max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise ImageError(
            name,
            f"has {width} × {height} pixels, more than the limit of {max_pixels / 1e6:g} megapixels; "
            "shrink it first (in Python, max_pixels allows more)",
        )
    if width < 1 or height < 1:
        raise ImageError(name, f"has no pixels ({width} × {height})")


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1..8; what cannot be understood counts as 1, upright."""
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # damaged EXIF raises anything, and is no reason to refuse the pixels
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def upright(image: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Turn stored pixels as an EXIF orientation says they are to be shown.

    Args:
        image: (H, W, C) uint8 as stored.
        orientation: 1..8 as in the EXIF tag 274.

    Returns:
        (H, W, C) or (W, H, C) uint8, contiguous.
    """
    match orientation:
        case 2:
            turned: Any = cv2.flip(image, 1)
        case 3:
            turned = cv2.rotate(image, cv2.ROTATE_180)
        case 4:
            turned = cv2.flip(image, 0)
        case 5:
            turned = cv2.transpose(image)
        case 6:
            turned = cv2.rotate(image, cv2.ROTATE_90_CLOCKWISE)
        case 7:
            turned = cv2.rotate(cv2.transpose(image), cv2.ROTATE_180)
        case 8:
            turned = cv2.rotate(image, cv2.ROTATE_90_COUNTERCLOCKWISE)
        case _:
            turned = image
    return _as_uint8(turned)


def _from_pillow(image: Image.Image, *, name: str, max_pixels: int) -> NDArray[np.uint8]:
    _check_size(image.size, name, max_pixels)
    try:
        image.load()
        # Only now: a PNG may carry its EXIF behind the pixels, and a TIFF is turned by Pillow itself.
        orientation = _orientation(image)
        pixels = _rgb(image, name)
    except ImageError:
        raise
    except MemoryError:
        raise ImageError(
            name, f"with {image.width} × {image.height} pixels does not fit into memory"
        ) from None
    except Image.DecompressionBombError as error:  # a few plugins ask Pillow's limit on their own
        raise ImageError(name, f"is too large for Pillow: {one_line(error)}") from None
    except Exception as error:  # as in open_header: decoders raise anything
        reason = one_line(error)
        what = "is truncated" if "truncated" in reason.lower() else "is truncated or damaged"
        raise ImageError(name, f"{what}: {reason}") from None
    return upright(_as_uint8(cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)), orientation)


def _rgb(image: Image.Image, name: str) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB of a loaded Pillow image of any mode."""
    if image.mode.startswith("I;16") or image.mode == "I":
        # Mode I is how Pillow hands out some 16-bit files, as 32-bit integers.
        deep = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
        gray = (deep >> 8).astype(np.uint8)
        return np.repeat(gray[..., None], 3, axis=2)
    if image.mode == "F":
        raise ImageError(
            name, "holds floating-point values, whose range is unknown; save it with 8 or 16 bits"
        )
    if image.has_transparency_data:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(ground, image)
    return np.asarray(image.convert("RGB"))


def _with_opencv_alone(data: bytes, *, name: str, max_pixels: int) -> NDArray[np.uint8]:
    """The few formats that only OpenCV knows (Radiance HDR, PFM, Sun raster)."""
    seems = describe_no_image(data[:512])
    if seems is None:
        try:
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        except cv2.error:
            pixels = None
        if pixels is not None:
            _check_size((pixels.shape[1], pixels.shape[0]), name, max_pixels)
            return _as_uint8(pixels)
    raise ImageError(
        name, f"is not an image; it looks like {seems}" if seems else "is not an image of a known format"
    )


def _from_array(array: NDArray[Any], *, name: str) -> NDArray[np.uint8]:
    shape = array.shape
    channels = shape[2] if array.ndim == 3 else 1
    if array.ndim not in (2, 3) or channels not in (1, 3, 4):
        hint = ""
        if array.ndim == 3 and shape[0] in (1, 3, 4):
            hint = "; this one seems to have its channels first, use array.transpose(1, 2, 0)"
        elif array.ndim == 4:
            hint = "; this one seems to be a batch, pass its images one by one"
        raise ImageError(
            name, f"has shape {shape}, but (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) is needed{hint}"
        )
    if array.size == 0:
        raise ImageError(name, f"has no pixels, its shape is {shape}")
    if array.dtype == np.uint16:
        array = (array >> 8).astype(np.uint8)
    elif array.dtype != np.uint8:
        raise ImageError(name, f"has dtype {array.dtype}, but uint8 (0..255) or uint16 (0..65535) is needed")
    if channels == 1:
        return np.repeat(array.reshape(*shape[:2], 1), 3, axis=2)
    if channels == 4:
        alpha = array[..., 3:].astype(np.uint16)
        blended = array[..., :3] * alpha + 255 * (255 - alpha)
        return ((blended + 127) // 255).astype(np.uint8)
    return _as_uint8(array)


def _as_uint8(array: Any) -> NDArray[np.uint8]:
    """The same array, contiguous, with the type that OpenCV's stubs do not promise."""
    return np.ascontiguousarray(array, dtype=np.uint8)
