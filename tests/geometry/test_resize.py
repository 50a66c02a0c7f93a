from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffcore.errors import ConfigError
from ffcore.faces import Faces
from ffcore.geometry import MEAN_BGR, ResizePolicy


def blank(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 200, np.uint8)


policies = st.one_of(
    st.builds(ResizePolicy, multiple=st.integers(1, 40)),
    st.builds(ResizePolicy, max_side=st.integers(1, 300)),
    st.builds(ResizePolicy, short_side=st.integers(1, 60), max_side=st.integers(1, 300)),
    st.builds(ResizePolicy, size=st.tuples(st.integers(1, 200), st.integers(1, 200))),
)


@settings(deadline=None)
@given(policies, st.integers(1, 400), st.integers(1, 400))
def test_every_policy_gives_the_promised_size_and_the_way_back(
    policy: ResizePolicy, height: int, width: int
) -> None:
    made = policy.apply(blank(height, width))
    rows, columns = made.image.shape[:2]
    if policy.size is None:
        assert rows % policy.multiple == columns % policy.multiple == 0
        assert 0 <= rows - made.height < policy.multiple
        assert 0 <= columns - made.width < policy.multiple
    else:
        assert (rows, columns) == policy.size
    if policy.max_side is not None:
        assert max(made.height, made.width) <= policy.max_side
    assert (made.image[: made.height, : made.width] == 200).all()
    assert (made.image[made.height :] == MEAN_BGR).all()
    assert (made.image[:, made.width :] == MEAN_BGR).all()
    whole = Faces(
        boxes=np.array([[0, 0, made.width, made.height]]), scores=np.ones(1), landmarks=np.zeros((1, 5, 2))
    )
    assert np.allclose(made.to_photo(whole).boxes, [[0, 0, width, height]], rtol=1e-5)


def test_an_image_that_fits_is_handed_on_without_a_copy() -> None:
    photo = blank(64, 96)
    made = ResizePolicy(max_side=96).apply(photo)
    assert np.shares_memory(made.image, photo)
    assert not made.shrunk


def test_the_longer_side_is_limited_and_the_shape_kept() -> None:
    made = ResizePolicy(max_side=320).apply(blank(480, 640))
    assert (made.height, made.width, made.scale_x) == (240, 320, 0.5)
    assert made.image.shape == (256, 320, 3)
    assert made.shrunk


def test_the_short_side_gives_way_to_the_limit_of_the_long_one() -> None:
    policy = ResizePolicy(short_side=1600, max_side=2150)
    assert policy.target(800, 1000) == (1600, 2000)
    assert policy.target(500, 1000) == (1075, 2150)


def test_a_fixed_size_enlarges_a_small_photo() -> None:
    made = ResizePolicy(size=(640, 640)).apply(blank(100, 200))
    assert (made.height, made.width) == (320, 640)


@pytest.mark.parametrize("shape", [(1, 5000), (5000, 1), (1, 1)])
@pytest.mark.parametrize("policy", [ResizePolicy(max_side=640), ResizePolicy(size=(640, 640))])
def test_strips_of_one_pixel_work(shape: tuple[int, int], policy: ResizePolicy) -> None:
    made = policy.apply(blank(*shape))
    assert made.height >= 1
    assert made.width >= 1
    assert max(made.image.shape) <= 640


def test_shrinking_averages_what_it_covers() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    made = ResizePolicy(max_side=16, multiple=1).apply(stripes)
    assert (made.image == 100).all()


@pytest.mark.parametrize(
    "arguments",
    [
        {"size": (64, 64), "max_side": 5},
        {"max_side": 0},
        {"size": (0, 5)},
        {"multiple": 0},
        {"short_side": -1},
    ],
)
def test_impossible_policies_are_errors(arguments: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        ResizePolicy(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 1), (0, 4, 3)])
def test_what_is_no_colour_image_is_an_error(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="shape"):
        ResizePolicy().apply(np.zeros(shape, np.uint8))
