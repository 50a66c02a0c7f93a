from __future__ import annotations

import colorsys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffcore.data.colour import ColourConfig, apply_colour, random_colour
from ffcore.errors import ConfigError

GRAYS = np.repeat(np.arange(256, dtype=np.uint8).reshape(1, -1, 1), 3, axis=2)
ALWAYS = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0, "probability": 1.0}


def drawn(seed: int, **values: float) -> np.ndarray:
    matrix = random_colour(ColourConfig(**{**ALWAYS, **values}), np.random.default_rng(seed))
    assert matrix is not None
    return matrix


@given(seed=st.integers(0, 10_000))
def test_hue_and_saturation_leave_gray_alone(seed: int) -> None:
    result = apply_colour(GRAYS, drawn(seed, hue=36, saturation=0.5))
    assert np.abs(result.astype(int) - GRAYS).max() <= 1


@given(seed=st.integers(0, 10_000))
def test_brightness_adds_the_same_to_all_within_its_limit(seed: int) -> None:
    middle = GRAYS[:, 64:192]
    added = apply_colour(middle, drawn(seed, brightness=32)).astype(int) - middle
    assert np.ptp(added) == 0
    assert abs(added[0, 0, 0]) <= 32


@given(seed=st.integers(0, 10_000))
def test_contrast_multiplies_within_its_limit(seed: int) -> None:
    gain = drawn(seed, contrast=0.5)[0].sum()
    assert 0.5 <= gain <= 1.5
    result = apply_colour(GRAYS, drawn(seed, contrast=0.5))
    np.testing.assert_allclose(result[0, :, 0], np.clip(np.arange(256) * gain, 0, 255), atol=1)


def test_hue_turns_colours_in_the_direction_and_about_as_far_as_it_says() -> None:
    red = np.array([[[60, 60, 180]]], np.uint8)
    turns = []
    for seed in range(200):
        blue, green, red_ = apply_colour(red, drawn(seed, hue=36))[0, 0] / 255
        turn = colorsys.rgb_to_hsv(red_, green, blue)[0] * 360
        turns.append((turn + 180) % 360 - 180)
    assert min(turns) < -20
    assert max(turns) > 20
    assert max(map(abs, turns)) < 60


def test_half_of_the_pictures_get_each_distortion() -> None:
    rng = np.random.default_rng(0)
    untouched = sum(random_colour(ColourConfig(), rng) is None for _ in range(4000))
    assert 180 < untouched < 330  # 1 in 16
    only_brightness = ColourConfig(contrast=0, saturation=0, hue=0)
    changed = sum(
        matrix is not None and matrix[0, 3] != 0
        for matrix in (random_colour(only_brightness, rng) for _ in range(4000))
    )
    assert 1850 < changed < 2150


def test_values_saturate_instead_of_wrapping_around() -> None:
    white = np.full((2, 2, 3), 250, np.uint8)
    brighter = np.concatenate([np.eye(3), np.full((3, 1), 100)], axis=1).astype(np.float32)
    assert (apply_colour(white, brighter) == 255).all()
    darker = np.concatenate([np.eye(3), np.full((3, 1), -300)], axis=1).astype(np.float32)
    assert (apply_colour(white, darker) == 0).all()


@pytest.mark.parametrize("wrong", [{"brightness": -1}, {"hue": 200}, {"contrast": 2}, {"probability": 3}])
def test_impossible_limits_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        ColourConfig(**wrong)


@given(seed=st.integers(0, 10_000))
def test_balance_multiplies_each_channel_by_itself_within_its_limit(seed: int) -> None:
    matrix = drawn(seed, balance=0.3)
    gains = np.diagonal(matrix[:, :3])
    np.testing.assert_allclose(matrix[:, :3], np.diag(gains), atol=1e-6)
    assert (np.abs(gains - 1) <= 0.3).all()
    assert len(set(gains.tolist())) == 3
    assert (matrix[:, 3] == 0).all()


@given(seed=st.integers(0, 10_000))
def test_gray_takes_all_colour_and_leaves_the_luma(seed: int) -> None:
    noise = np.random.default_rng(seed).integers(0, 256, (1, 50, 3), dtype=np.uint8)
    result = apply_colour(noise, drawn(seed, gray=1.0, hue=36, saturation=0.5, balance=0.3)).astype(int)
    assert np.ptp(result, axis=2).max() <= 1
    assert np.abs(result[..., 0] - noise @ (0.114, 0.587, 0.299)).max() <= 1.01


def test_gray_comes_as_often_as_asked_and_the_others_as_before() -> None:
    plain, sometimes = ColourConfig(), ColourConfig(gray=0.2)
    gray = 0
    for seed in range(1000):
        one = random_colour(plain, np.random.default_rng(seed))
        other = random_colour(sometimes, np.random.default_rng(seed))
        if other is not None and np.linalg.matrix_rank(other[:, :3], tol=1e-4) == 1:
            gray += 1
        else:
            np.testing.assert_array_equal(one, other)
    assert 150 < gray < 250
