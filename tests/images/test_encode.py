from __future__ import annotations

import errno
import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from ffcore.errors import ConfigError, InputError
from ffcore.images import WRITABLE_SUFFIXES, embedded_profile, read_image, write_image

PICTURE = np.linspace(0, 255, 40 * 60).reshape(40, 60, 1).repeat(3, axis=2).astype(np.uint8)


@pytest.mark.parametrize("suffix", [*WRITABLE_SUFFIXES, ".JPG"])
def test_every_suffix_writes_its_format_and_reads_back(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "new folder" / f"ä {suffix}"
    path = path.with_name("ä x" + suffix)
    write_image(path, PICTURE)
    assert np.abs(read_image(path).astype(int) - PICTURE).max() <= 8
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".avif"])
def test_quality_changes_the_size_of_the_file(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    sizes = []
    for quality in (20, 95):
        write_image(tmp_path / f"a{suffix}", noise, quality=quality)
        sizes.append((tmp_path / f"a{suffix}").stat().st_size)
    assert sizes[0] < sizes[1]


@pytest.mark.parametrize("name", ["a.jpgg", "a", "a.xyz"])
def test_an_unknown_suffix_says_what_could_be_used(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"\.jpg") as caught:
        write_image(tmp_path / name, PICTURE)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_older_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    write_image(path, PICTURE)
    before = path.read_bytes()
    write = Path.write_bytes

    def half(self: Path, data: bytes) -> int:
        write(self, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(InputError, match="disk is full"):
        write_image(path, 255 - PICTURE)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["a.png"]


def test_a_folder_that_allows_nothing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, data: bytes) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "write_bytes", refuse)  # chmod does not stop a test that runs as root
    with pytest.raises(InputError, match="folder does not allow"):
        write_image(tmp_path / "a.png", PICTURE)


def test_a_path_through_a_file_and_a_path_that_is_a_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.png").mkdir()
    for path in (tmp_path / "file" / "a.png", tmp_path / "folder.png"):
        with pytest.raises(InputError) as caught:
            write_image(path, PICTURE)
        assert str(caught.value).startswith(str(path))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "folder.png"]


def rgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize("suffix", [each for each in WRITABLE_SUFFIXES if each != ".avif"])
def test_a_profile_goes_into_the_file_and_changes_no_pixel(tmp_path: Path, suffix: str) -> None:
    plain, tagged = tmp_path / f"plain{suffix}", tmp_path / f"tagged{suffix}"
    write_image(plain, PICTURE)
    write_image(tagged, PICTURE, profile=rgb_profile())
    assert embedded_profile(plain) is None
    assert embedded_profile(tagged) == (None if suffix == ".bmp" else rgb_profile())
    np.testing.assert_array_equal(read_image(tagged), read_image(plain))


def test_a_profile_goes_into_an_avif(tmp_path: Path) -> None:
    write_image(tmp_path / "a.avif", PICTURE, profile=rgb_profile())
    assert embedded_profile(tmp_path / "a.avif") == rgb_profile()


@pytest.mark.parametrize(
    "damage",
    [
        lambda profile: profile[:-1],
        lambda profile: profile[:100],
        lambda profile: profile[:16] + b"CMYK" + profile[20:],
        lambda profile: profile[:36] + b"nope" + profile[40:],
        lambda _: b"",
    ],
    ids=["cut", "no header", "of CMYK values", "no profile", "empty"],
)
def test_a_profile_that_fits_no_copy_is_left_out(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "a.jpg", icc_profile=damage(rgb_profile()))
    assert embedded_profile(tmp_path / "a.jpg") is None


def test_what_is_no_image_has_no_profile(tmp_path: Path) -> None:
    (tmp_path / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    (tmp_path / "notes.jpg").write_text("no photo")
    for name in ("torn.jpg", "notes.jpg", "missing.jpg"):
        assert embedded_profile(tmp_path / name) is None


def test_a_picture_too_large_for_its_format_is_an_error_in_one_line(tmp_path: Path) -> None:
    for suffix, profile in itertools.product((".webp", ".jpg"), (None, rgb_profile())):
        with pytest.raises(InputError, match="70000 × 1 pixels") as caught:
            write_image(tmp_path / f"a{suffix}", np.zeros((1, 70_000, 3), np.uint8), profile=profile)
        assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_only_uint8_bgr_can_be_written(tmp_path: Path) -> None:
    for image in (PICTURE[..., 0], PICTURE.astype(np.float32), np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(ConfigError):
            write_image(tmp_path / "a.png", image)
    for quality in (0, 101):
        with pytest.raises(ConfigError, match="quality"):
            write_image(tmp_path / "a.png", PICTURE, quality=quality)
