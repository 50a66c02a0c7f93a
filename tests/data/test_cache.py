from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from ffcore.data.cache import build_cache, open_cache
from ffcore.errors import ConfigError, ImageError, InputError
from ffcore.events import Advanced, Event, Failed, Started
from ffcore.images import read_image
from tests.data.sets import photo


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    sizes = ((64, 48), (100, 30), (31, 77))
    return [photo(tmp_path / "in" / f"{w}.png", width=w, height=h) for w, h in sizes]


def test_cached_photos_are_the_decoded_photos(tmp_path: Path, photos: list[Path]) -> None:
    cache = build_cache(photos, tmp_path / "cache")
    assert len(cache) == 3
    for number, path in enumerate(photos):
        image, scale_x, scale_y = cache.read(number)
        np.testing.assert_array_equal(image, read_image(path))
        assert (scale_x, scale_y) == (1, 1)
        assert not image.flags.writeable


def test_large_photos_are_shrunk_and_say_by_how_much(tmp_path: Path, photos: list[Path]) -> None:
    cache = build_cache(photos, tmp_path / "cache", max_side=64)
    image, scale_x, scale_y = cache.read(1)
    assert image.shape == (19, 64, 3)
    assert (scale_x, scale_y) == (0.64, 19 / 30)
    assert cache.read(0).image.shape == (48, 64, 3)


def test_a_second_call_decodes_nothing(tmp_path: Path, photos: list[Path]) -> None:
    events: list[Event] = []
    build_cache(photos, tmp_path / "cache", on_event=events.append)
    assert events == [Started("photos", 3), *(Advanced(str(path)) for path in photos)]
    events.clear()
    again = build_cache(photos, tmp_path / "cache", on_event=events.append)
    assert events == []
    np.testing.assert_array_equal(again.read(2).image, read_image(photos[2]))


def test_a_changed_photo_another_list_or_another_size_make_it_anew(
    tmp_path: Path, photos: list[Path]
) -> None:
    folder = tmp_path / "cache"
    build_cache(photos, folder)
    assert open_cache(photos[:2], folder) is None
    assert open_cache(photos, folder, max_side=40) is None
    photo(photos[0], width=70)
    os.utime(photos[0], ns=(1, 1))
    assert open_cache(photos, folder) is None
    assert build_cache(photos, folder).read(0).image.shape == (48, 70, 3)
    assert len(list(folder.iterdir())) == 2  # the old pixels are gone


@pytest.mark.parametrize("damage", ["cut pixels", "no pixels", "index", "no index"])
def test_a_damaged_cache_is_made_anew(tmp_path: Path, photos: list[Path], damage: str) -> None:
    folder = tmp_path / "cache"
    build_cache(photos, folder)
    (pixels,) = folder.glob("*.bin")
    if damage == "cut pixels":
        pixels.write_bytes(pixels.read_bytes()[:-1])
    elif damage == "no pixels":
        pixels.unlink()
    elif damage == "index":
        (folder / "photos.json").write_text('{"version": 1')
    else:
        (folder / "photos.json").unlink()
    assert open_cache(photos, folder) is None
    np.testing.assert_array_equal(build_cache(photos, folder).read(2).image, read_image(photos[2]))


def test_an_interrupted_build_leaves_nothing_that_looks_whole(tmp_path: Path, photos: list[Path]) -> None:
    def interrupt(event: Event) -> None:
        if isinstance(event, Advanced):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_cache(photos, tmp_path / "cache", on_event=interrupt)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_photo_that_cannot_be_read_is_reported_and_only_its_own_reading_fails(
    tmp_path: Path, photos: list[Path]
) -> None:
    photos[1].write_bytes(b"nothing")
    events: list[Event] = []
    cache = build_cache(photos, tmp_path / "cache", on_event=events.append)
    assert [event.name for event in events if isinstance(event, Failed)] == [str(photos[1])]
    np.testing.assert_array_equal(cache.read(2).image, read_image(photos[2]))
    with pytest.raises(ImageError, match=r"100\.png"):
        cache.read(1)


def test_a_pickled_cache_is_small_and_reads_the_same(tmp_path: Path, photos: list[Path]) -> None:
    cache = build_cache(photos, tmp_path / "cache")
    before = cache.read(0).image.copy()
    data = pickle.dumps(cache)
    assert len(data) < 2000
    np.testing.assert_array_equal(pickle.loads(data).read(0).image, before)  # noqa: S301


def test_pixels_that_vanished_are_an_error_that_says_so(tmp_path: Path, photos: list[Path]) -> None:
    cache = build_cache(photos, tmp_path / "cache")
    next((tmp_path / "cache").glob("*.bin")).unlink()
    with pytest.raises(InputError, match="make it again"):
        cache.read(0)


def test_a_tiny_limit_is_refused(tmp_path: Path, photos: list[Path]) -> None:
    with pytest.raises(ConfigError, match="max_side"):
        build_cache(photos, tmp_path, max_side=8)
