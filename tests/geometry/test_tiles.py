from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffcore.errors import ConfigError
from ffcore.geometry import tiles

cuts = st.integers(2, 50).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size * 3 // 4)))


@settings(deadline=None)
@given(st.integers(1, 70), st.integers(1, 70), cuts)
def test_every_pixel_is_in_exactly_one_core_and_in_its_tile(
    height: int, width: int, cut: tuple[int, int]
) -> None:
    size, overlap = cut
    y, x = np.mgrid[0:height, 0:width].reshape(2, -1)
    pixels = np.stack((x, y, x + 1, y + 1), 1).astype(np.float32)
    owners = np.zeros(len(pixels), int)
    for tile in tiles(height, width, size=size, overlap=overlap):
        owned = tile.owns(pixels)
        owners += owned
        mine = pixels[owned]
        assert (mine[:, :2] >= (tile.x1, tile.y1)).all()
        assert (mine[:, 2:] <= (tile.x2, tile.y2)).all()
    assert (owners == 1).all()


@settings(deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), cuts, st.data())
def test_a_face_no_larger_than_the_overlap_is_whole_in_the_tile_that_owns_it(
    height: int, width: int, cut: tuple[int, int], data: st.DataObject
) -> None:
    size, overlap = cut
    w = data.draw(st.integers(0, min(overlap, width)))
    h = data.draw(st.integers(0, min(overlap, height)))
    x, y = data.draw(st.integers(0, width - w)), data.draw(st.integers(0, height - h))
    face = np.array([[x, y, x + w, y + h]], np.float32)
    (owner,) = [t for t in tiles(height, width, size=size, overlap=overlap) if t.owns(face)[0]]
    assert owner.x1 <= x
    assert x + w <= owner.x2
    assert owner.y1 <= y
    assert y + h <= owner.y2


def test_a_photo_of_two_tiles_by_hand() -> None:
    left, right = tiles(50, 150, size=100, overlap=20)
    assert (left.x1, left.x2, right.x1, right.x2) == (0, 100, 50, 150)
    assert left.core[2] == right.core[0] == 75
    assert (left.y1, left.y2) == (0, 50)


def test_all_tiles_of_a_large_photo_have_the_same_size() -> None:
    made = tiles(1000, 3001, size=640, overlap=100)
    assert {(t.x2 - t.x1, t.y2 - t.y1) for t in made} == {(640, 640)}


def test_a_centre_outside_the_photo_belongs_to_the_tile_at_that_border() -> None:
    first, *_ = tiles(300, 300, size=100, overlap=10)
    assert first.owns(np.array([[-30, -30, 5, 5]], np.float32))[0]


def test_a_tile_is_a_view_of_the_photo() -> None:
    photo = np.arange(300 * 200 * 3, dtype=np.uint8).reshape(300, 200, 3)
    tile = tiles(300, 200, size=120, overlap=20)[-1]
    assert np.shares_memory(tile.cut(photo), photo)
    assert np.array_equal(tile.cut(photo), photo[180:300, 80:200])


@pytest.mark.parametrize(("size", "overlap"), [(10, 10), (0, 0), (10, -1)])
def test_impossible_cuts_are_errors(size: int, overlap: int) -> None:
    with pytest.raises(ConfigError, match="overlap"):
        tiles(100, 100, size=size, overlap=overlap)
