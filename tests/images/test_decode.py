from __future__ import annotations

import io
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ffcore.errors import ConfigError, ImageError
from ffcore.images import read_image
from ffcore.images.decode import upright


def smooth(height: int = 60, width: int = 90, seed: int = 0) -> NDArray[np.uint8]:
    """An (H, W, 3) picture that compresses well and looks different from every side."""
    rough = np.random.default_rng(seed).integers(0, 256, (4, 6, 3)).astype(np.uint8)
    return cv2.resize(rough, (width, height), interpolation=cv2.INTER_CUBIC)


def encoded(format_: str, pixels: NDArray[np.uint8] | None = None, **options: object) -> bytes:
    """A file of `pixels`, which are BGR (or whatever a mode wants)."""
    image = Image.fromarray((smooth() if pixels is None else pixels)[..., ::-1].copy())
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


def with_orientation(format_: str, orientation: int) -> tuple[bytes, NDArray[np.uint8]]:
    """A file with that orientation, and the upright BGR pixels it stands for."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    lossless = {
        "AVIF": {"quality": 100},
        "WEBP": {"lossless": True},
        "JPEG": {"quality": 100, "subsampling": 0},
    }
    data = encoded(format_, exif=exif, **lossless.get(format_, {}))
    with Image.open(io.BytesIO(data)) as image:
        shown = ImageOps.exif_transpose(image).convert("RGB")
    return data, np.asarray(shown)[..., ::-1]


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_of_every_format_comes_out_upright(format_: str, orientation: int) -> None:
    data, expected = with_orientation(format_, orientation)
    image = read_image(data)
    assert image.shape == ((60, 90, 3) if orientation < 5 else (90, 60, 3))
    assert image.flags.c_contiguous
    assert np.abs(image.astype(int) - expected).max() <= 1


@pytest.mark.parametrize(
    ("orientation", "corner"),  # where the first stored pixel is to be shown, by the EXIF standard
    [
        (1, (0, 0)),
        (2, (0, -1)),
        (3, (-1, -1)),
        (4, (-1, 0)),
        (5, (0, 0)),
        (6, (0, -1)),
        (7, (-1, -1)),
        (8, (-1, 0)),
    ],
)
def test_the_first_stored_pixel_lands_where_the_exif_standard_says(
    orientation: int, corner: tuple[int, int]
) -> None:
    stored = np.zeros((2, 3, 3), np.uint8)
    stored[0, 0] = 255
    stored[0, 1:] = 100  # the rest of the first stored row
    shown = upright(stored, orientation)
    assert shown[corner].tolist() == [255, 255, 255]
    first_row_is_now = shown[corner[0], :] if orientation < 5 else shown[:, corner[1]]
    assert sorted(first_row_is_now[:, 0].tolist()) == [100, 100, 255]


def test_a_nonsensical_orientation_is_taken_for_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 77
    assert read_image(encoded("JPEG", exif=exif)).shape == (60, 90, 3)


def test_damaged_exif_is_no_reason_to_refuse_a_photo() -> None:
    assert read_image(encoded("JPEG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff")).shape == (60, 90, 3)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"quality": 30}])
def test_the_fast_way_and_the_careful_way_give_the_same_pixels(options: dict[str, object]) -> None:
    data = encoded("JPEG", **options)
    with Image.open(io.BytesIO(data)) as image:
        assert np.array_equal(read_image(data), read_image(image))


@pytest.mark.parametrize(
    "format_", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF", "GIF", "BMP", "PPM", "JPEG2000", "QOI"]
)
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9, 0.99])
def test_a_truncated_file_is_an_error_that_names_it(tmp_path: Path, format_: str, kept: float) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (60, 90, 3)).astype(np.uint8)
    data = encoded(format_, noise)
    path = tmp_path / "half of it"
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(ImageError, match="is truncated") as caught:
        read_image(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_whose_second_half_became_zeros_is_truncated(progressive: bool) -> None:
    data = encoded("JPEG", progressive=progressive)
    with pytest.raises(ImageError, match="is truncated"):
        read_image(data[: len(data) // 2] + bytes(len(data)))


@pytest.mark.parametrize("tail", [b"\x00" * 512, b"\xff" * 7, b"\r\n", b"SEFT camera data \xff\xd8\xff"])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_whole_jpeg_may_be_followed_by_anything(tail: bytes, progressive: bool) -> None:
    data = encoded("JPEG", progressive=progressive)
    assert np.array_equal(read_image(data + tail), read_image(data))


def test_the_thumbnail_in_a_cut_jpeg_does_not_pass_for_the_picture() -> None:
    thumbnail = encoded("JPEG", smooth(8, 8))
    data = encoded("JPEG", exif=b"Exif\x00\x00" + thumbnail)
    behind_thumbnail = data.index(thumbnail) + len(thumbnail)
    for cut in (behind_thumbnail, behind_thumbnail + 100):
        with pytest.raises(ImageError, match="is truncated"):
            read_image(data[:cut])


def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 40 * 50).reshape(40, 50).astype(np.uint16)
    colour = np.stack([ramp, ramp[::-1], ramp[:, ::-1]], axis=2)
    for name, pixels in (("gray.png", ramp), ("gray.tif", ramp), ("colour.png", colour)):
        path = tmp_path / name
        assert cv2.imwrite(str(path), pixels)
        expected = (pixels >> 8).astype(int)
        expected = np.repeat(expected[..., None], 3, axis=2) if expected.ndim == 2 else expected
        assert np.abs(read_image(path).astype(int) - expected).max() <= 1, name
    assert read_image(ramp).max() == 255
    assert np.array_equal(read_image(colour), (colour >> 8).astype(np.uint8))


def test_transparent_pixels_become_white_and_half_transparent_ones_are_mixed() -> None:
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[0, :, 0] = 200  # red
    rgba[0, :, 3] = (0, 128, 255)
    buffer = io.BytesIO()
    Image.fromarray(rgba).save(buffer, "PNG")
    from_file = read_image(buffer.getvalue())
    assert from_file[0, 0].tolist() == [255, 255, 255]
    assert from_file[0, 2].tolist() == [0, 0, 200]
    assert np.abs(from_file[0, 1].astype(int) - [127, 127, 227]).max() <= 1
    from_array = read_image(rgba[..., [2, 1, 0, 3]])
    assert np.abs(from_array.astype(int) - from_file).max() <= 1


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "I;16", "I"]
)
def test_every_pillow_mode_gives_the_picture_in_bgr(mode: str) -> None:
    gray = Image.fromarray(smooth()[..., 0].copy())
    start = Image.new("I;16", gray.size) if mode == "I;16" else gray
    if mode in ("I;16", "I"):
        image = Image.fromarray(smooth()[..., 0].astype(np.uint16) * 257)
        image = image.convert("I") if mode == "I" else image
    elif mode in ("LAB", "HSV", "YCbCr", "CMYK", "PA"):
        image = start.convert("RGB").convert("P" if mode == "PA" else "RGB")
        image = image.convert(mode) if mode != "LAB" else Image.new("LAB", gray.size)
    else:
        image = start.convert(mode)
    assert image.mode == mode
    result = read_image(image)
    assert result.shape == (60, 90, 3)
    assert result.dtype == np.uint8
    if mode not in ("1", "LAB", "PA"):  # these do not hold the picture closely
        assert np.abs(result.astype(int).mean(axis=2) - smooth()[..., 0]).max() <= 6


@pytest.mark.parametrize("adobe", [True, False])
def test_cmyk_jpegs_are_not_negatives(adobe: bool) -> None:
    data = encoded("JPEG")
    buffer = io.BytesIO()
    Image.open(io.BytesIO(data)).convert("CMYK").save(buffer, "JPEG", quality=98)
    cmyk = buffer.getvalue()
    assert b"Adobe" in cmyk
    if adobe:  # as Pillow and Photoshop write it: inverted, and marked so
        image = read_image(cmyk)
    else:  # without the marker nothing is inverted: then these inks are the complement
        at = cmyk.index(b"\xff\xee")
        image = 255 - read_image(cmyk[:at] + cmyk[at + 2 + int.from_bytes(cmyk[at + 2 : at + 4], "big") :])
        assert image.shape == (60, 90, 3)
        return
    assert np.abs(image.astype(int) - read_image(data)).mean() < 6


def test_palette_with_transparency_is_laid_on_white() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putdata([0, 1])
    buffer = io.BytesIO()
    image.save(buffer, "PNG", transparency=0)
    assert read_image(buffer.getvalue()).tolist() == [[[255, 255, 255], [255, 0, 0]]]


@pytest.mark.parametrize("format_", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_frame_is_read(format_: str) -> None:
    frames = [Image.new("RGB", (20, 10), colour) for colour in ("red", "blue")]
    buffer = io.BytesIO()
    frames[0].save(buffer, format_, save_all=True, append_images=frames[1:])
    blue, green, red = read_image(buffer.getvalue())[5, 5].tolist()
    assert red > 240
    assert max(blue, green) < 15


def test_one_pixel_is_an_image() -> None:
    assert read_image(encoded("JPEG", np.full((1, 1, 3), 77, np.uint8))).shape == (1, 1, 3)
    assert read_image(np.zeros((1, 1), np.uint8)).shape == (1, 1, 3)


def test_twenty_megapixels_are_read(tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    path.write_bytes(encoded("JPEG", smooth(3672, 5496)))
    assert read_image(path).shape == (3672, 5496, 3)


def test_paths_may_hold_spaces_and_any_letters(tmp_path: Path) -> None:
    path = tmp_path / "Ääk ñ 顔 фото.jpg"
    path.write_bytes(encoded("JPEG"))
    assert np.array_equal(read_image(path), read_image(str(path)))


def test_arrays_of_every_accepted_shape() -> None:
    gray = smooth()[..., 0]
    assert np.array_equal(read_image(gray), np.stack([gray] * 3, axis=2))
    assert np.array_equal(read_image(gray[..., None]), np.stack([gray] * 3, axis=2))
    bgr = smooth()
    assert read_image(bgr) is bgr
    turned = read_image(bgr[:, ::-1])
    assert turned.flags.c_contiguous
    assert np.array_equal(turned, bgr[:, ::-1])


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((4, 4, 3), np.float32), "dtype float32"),
        (np.zeros((4, 4), bool), "dtype bool"),
        (np.zeros((4, 4, 2), np.uint8), r"shape \(4, 4, 2\)"),
        (np.zeros((3, 40, 50), np.uint8), "channels first"),
        (np.zeros((1, 4, 4, 3), np.uint8), "batch"),
        (np.zeros((0, 4, 3), np.uint8), "no pixels"),
        (np.zeros(4, np.uint8), "shape"),
    ],
)
def test_an_array_that_is_no_image_says_why(array: NDArray[np.uint8], message: str) -> None:
    with pytest.raises(ImageError, match=message):
        read_image(array)


def test_something_else_than_an_image_is_an_argument_error() -> None:
    with pytest.raises(ConfigError, match="not int"):
        read_image(3)  # type: ignore[arg-type]


def zip_file() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.txt", "a")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html><body>404", "HTML page"),
        (b"\n  <html>", "HTML page"),
        ("Grüße\n".encode(), "a text file"),
        (b'{"boxes": []}', "JSON"),
        (b"\x08\x08\x12\x07pytorch\x1a\x052.0.0:\x80\x01", "ONNX"),
        (zip_file(), "zip archive"),
        (b"%PDF-1.7 ...", "PDF"),
        (b"\x00\x00\x00\x18ftypcrx \x00\x00\x00\x01crx isom", "raw photo; convert"),
        (b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2", "MP4 video"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "Git LFS"),
        (bytes(range(256)) * 4, "known format"),
        (b"\xff\xd8\xff\xe0", "truncated or damaged"),
        (b"\x89PNG\r\n\x1a\n", "truncated or damaged"),
    ],
)
def test_a_file_that_is_no_image_says_what_it_looks_like(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(data)
    with pytest.raises(ImageError, match=message) as caught:
        read_image(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


FAINT_HEIC = b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic"  # its first bytes alone


def test_a_heic_photo_needs_a_package_and_its_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(ImageError, match="HEIC photo; pip install pillow-heif, or convert it to JPEG"):
        read_image(FAINT_HEIC)


@pytest.mark.parametrize("installed", [False, True])
def test_avif_photos_that_begin_as_heic_ones_do_are_read(
    installed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not installed:
        monkeypatch.setitem(sys.modules, "pillow_heif", None)
    plain = encoded("AVIF")
    general = plain.replace(b"ftypavif", b"ftypmif1", 1)  # any image of that container; what it holds follows
    assert general != plain
    np.testing.assert_array_equal(read_image(general), read_image(plain))


def test_heic_photos_are_read_upright_and_leave_pillow_as_it_was() -> None:
    heif = pytest.importorskip("pillow_heif")
    pixels = smooth()
    tag = Image.Exif()
    tag[0x0112] = 6  # to be turned by a quarter, as phones write it
    file = io.BytesIO()
    heif.from_pillow(Image.fromarray(pixels[..., ::-1].copy())).save(file, quality=100, exif=tag.tobytes())
    turned = cv2.rotate(pixels, cv2.ROTATE_90_CLOCKWISE)
    seen = read_image(file.getvalue())
    assert seen.shape == turned.shape
    assert np.abs(seen.astype(int) - turned).mean() < 3
    assert "HEIF" not in Image.OPEN
    with pytest.raises(ImageError, match="more than the limit"):
        read_image(file.getvalue(), max_pixels=100)
    for damaged in (FAINT_HEIC, file.getvalue()[:-200]):
        with pytest.raises(ImageError, match="truncated or damaged"):
            read_image(damaged)


@pytest.mark.parametrize(
    "start", [b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"II*\x00", b"P6", b"\x01\x02", b"RIFF"]
)
def test_files_of_a_few_bytes_are_image_errors(start: bytes) -> None:
    for length in range(1, len(start) + 1):
        with pytest.raises(ImageError):
            read_image(start[:length])


@pytest.mark.parametrize("suffix", [".dng", ".NEF", ".cr2", ".arw"])
def test_the_preview_in_a_raw_photo_does_not_pass_for_the_photo(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"DSC_1{suffix}"
    path.write_bytes(encoded("TIFF"))  # as Pillow sees it
    with pytest.raises(ImageError, match="looks like a raw photo; convert it to JPEG first"):
        read_image(path)
    with pytest.raises(ImageError, match="looks like a raw photo; convert it to JPEG first"):
        read_image(path.read_bytes(), name=f"cards.tar#{path.name}")
    path.write_bytes(encoded("JPEG"))  # somebody converted it and kept the name
    assert read_image(path).shape == (60, 90, 3)


def test_missing_files_folders_and_addresses_have_their_own_message(tmp_path: Path) -> None:
    for source, message in (
        (tmp_path / "none.jpg", "does not exist"),
        (tmp_path, "is a folder"),
        ("https://example.org/a.jpg", "download"),
        ("a\0b.jpg", "cannot be read"),
        ("x" * 5000, "cannot be read"),
    ):
        with pytest.raises(ImageError, match=message):
            read_image(source)


def test_a_file_without_permission_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "locked.jpg"
    path.write_bytes(encoded("JPEG"))

    def refuse(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)  # chmod does not stop a test that runs as root
    with pytest.raises(ImageError, match="permissions"):
        read_image(path)


def test_a_decompression_bomb_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(buffer, "PNG")
    jpeg = encoded("JPEG")

    def decoded(*_: object, **__: object) -> None:
        raise AssertionError("pixels were decoded")

    with Image.open(io.BytesIO(jpeg)) as lazy:
        monkeypatch.setattr(cv2, "imdecode", decoded)
        monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decoded)
        with pytest.raises(ImageError, match="20000 × 20000 pixels"):
            read_image(buffer.getvalue())
        for source in (jpeg, lazy):
            with pytest.raises(ImageError, match=r"90 × 60 pixels, more than the limit of 0\.005 megapixels"):
                read_image(source, max_pixels=5000)


def test_a_picture_above_pillows_own_limit_is_read_when_ours_allows_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for format_ in ("JPEG", "PNG", "BMP"):
        assert read_image(encoded(format_)).shape == (60, 90, 3)


def test_formats_that_only_opencv_knows_are_read() -> None:
    ok, data = cv2.imencode(".ras", smooth())
    assert ok
    assert np.array_equal(read_image(data.tobytes()), smooth())


def test_postscript_is_never_handed_to_ghostscript() -> None:
    with pytest.raises(ImageError, match="PostScript"):
        read_image(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n")


def test_nothing_is_written_to_stderr_for_good_and_for_truncated_files(
    capfd: pytest.CaptureFixture[str],
) -> None:
    for format_ in ("JPEG", "PNG", "TIFF", "WEBP", "GIF"):
        data = encoded(format_)
        read_image(data)
        read_image(data + bytes(20))
        with pytest.raises(ImageError):
            read_image(data[: len(data) // 2])
    assert capfd.readouterr() == ("", "")


def test_the_callers_name_is_used_in_errors() -> None:
    with pytest.raises(ImageError, match=r"^upload 7: is empty"):
        read_image(b"", name="upload 7")


@settings(max_examples=150, deadline=None)
@given(
    format_=st.sampled_from(
        ["JPEG", "PNG", "WEBP", "AVIF", "TIFF", "GIF", "BMP", "PPM", "JPEG2000", "QOI", "ICO"]
    ),
    changes=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8
    ),
    near_the_start=st.booleans(),
)
def test_a_damaged_file_is_read_or_is_an_image_error_and_nothing_else(
    format_, changes, near_the_start
) -> None:  # type: ignore[no-untyped-def]
    data = bytearray(FILES[format_])
    for place, value in changes:
        data[int(place * (min(200, len(data)) if near_the_start else len(data)))] = value
    try:
        image = read_image(bytes(data), max_pixels=10**6)
    except ImageError as error:
        message = str(error)
    else:
        assert image.ndim == 3
        assert image.dtype == np.uint8
        return
    assert "\n" not in message


FILES = {
    format_: encoded(format_)
    for format_ in ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "GIF", "BMP", "PPM", "JPEG2000", "QOI", "ICO")
}
