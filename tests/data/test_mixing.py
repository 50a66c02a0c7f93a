from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffcore.data import LabelledFaces, Sample
from ffcore.data.augment import AugmentConfig, augment
from ffcore.data.mixing import MixConfig, cutmix, mixup, mosaic, random_centre, random_patch
from ffcore.errors import ConfigError
from tests.data.drawn import FACE_COLOURS, GROUND, SAME_COLOURS, extent, squares

S = 100
POINTS = [[[22, 22], [38, 22], [30, 30], [22, 38], [38, 38]]]


def flat(colour: int, boxes: list[list[float]], **more: object) -> Sample:
    return Sample(np.full((S, S, 3), colour, np.uint8), LabelledFaces.of(boxes, **more))


def test_mixup_weighs_pixels_and_faces_by_the_same_shares() -> None:
    mixed = mixup(flat(100, [[0, 0, 10, 10]]), flat(200, [[50, 50, 60, 60], [1, 1, 9, 9]]), share=0.25)
    assert (mixed.image == 175).all()
    assert len(mixed.faces) == 3
    np.testing.assert_allclose(mixed.faces.weights, [0.25, 0.75, 0.75])


@pytest.mark.parametrize(("share", "faces", "value"), [(1.0, 1, 100), (0.0, 2, 200)])
def test_mixup_with_a_share_of_all_is_the_sample_itself(share: float, faces: int, value: int) -> None:
    mixed = mixup(flat(100, [[0, 0, 9, 9]]), flat(200, [[5, 5, 60, 60], [1, 1, 9, 9]]), share=share)
    assert (mixed.image == value).all()
    assert mixed.faces.weights.tolist() == [1.0] * faces


def test_weights_multiply_when_a_mixture_is_mixed_again() -> None:
    one = mixup(flat(0, [[0, 0, 9, 9]]), flat(0, []), share=0.5)
    assert mixup(one, flat(0, []), share=0.5).faces.weights.tolist() == [0.25]


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        ((60, 60, 90, 90), "whole"),
        ((20, 20, 40, 28), "whole"),  # 0.6 of the box is still seen
        ((20, 20, 40, 30), "ignored"),
        ((20, 20, 40, 35), "ignored"),  # 0.25
        ((20, 20, 40, 36), "gone"),
        ((0, 0, 100, 100), "gone"),
    ],
)
def test_cutmix_treats_a_face_below_the_patch_by_its_visible_area(
    patch: tuple[int, int, int, int], expected: str
) -> None:
    mixed = cutmix(flat(10, [[20, 20, 40, 40]]), flat(20, []), patch=patch)
    assert len(mixed.faces) == (expected != "gone")
    if expected != "gone":
        np.testing.assert_array_equal(mixed.faces.boxes, [[20, 20, 40, 40]])
        assert mixed.faces.ignore.tolist() == [expected == "ignored"]
    x1, y1, x2, y2 = patch
    assert (mixed.image[y1:y2, x1:x2] == 20).all()
    assert (mixed.image == 20).sum() == 3 * (x2 - x1) * (y2 - y1)


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        ((0, 0, 60, 60), "whole"),
        ((20, 20, 40, 32), "whole"),
        ((20, 20, 40, 28), "ignored"),
        ((38, 38, 90, 90), "gone"),
    ],
)
def test_cutmix_cuts_the_other_face_at_the_patch(patch: tuple[int, int, int, int], expected: str) -> None:
    mixed = cutmix(flat(10, []), flat(20, [[20, 20, 40, 40]]), patch=patch)
    assert len(mixed.faces) == (expected != "gone")
    if expected != "gone":
        x1, y1, x2, y2 = patch
        cut = [[max(20, x1), max(20, y1), min(40, x2), min(40, y2)]]
        np.testing.assert_array_equal(mixed.faces.boxes, cut)
        assert mixed.faces.ignore.tolist() == [expected == "ignored"]


@pytest.mark.parametrize(("top", "known"), [(20, False), (45, True)])
def test_a_hidden_landmark_makes_its_face_one_without_landmarks(top: int, known: bool) -> None:
    face = flat(10, [[20, 20, 40, 40]], landmarks=POINTS)
    patch = (20, top, 40, top + 4)
    assert cutmix(face, flat(20, []), patch=patch).faces.has_landmarks.tolist() == [known]
    window = (0, 0, S, 36 if not known else 60)
    assert cutmix(flat(20, []), face, patch=window).faces.has_landmarks.tolist() == [known]


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_boxes_in_a_mosaic_lie_around_what_is_seen_of_their_squares(seed: int) -> None:
    rng = np.random.default_rng(seed)
    config = AugmentConfig(colour=SAME_COLOURS, interpolations=("linear",))
    tiles = []
    for colour in FACE_COLOURS:  # one colour for each quarter
        tile = augment(squares(rng, count=1), config, size=S, rng=rng)
        image = tile.image.copy()
        image[:] = GROUND
        x1, y1, x2, y2 = tile.faces.boxes[0].round().astype(int)
        image[y1:y2, x1:x2] = colour
        tiles.append(Sample(image, LabelledFaces.of([[x1, y1, x2, y2]])))
    centre = random_centre(S, rng=rng)
    made = mosaic(tiles, centre=centre)
    assert made.image.shape == (S, S, 3)
    assert (made.faces.boxes >= 0).all()
    assert (made.faces.boxes <= S).all()
    for box in made.faces.boxes:
        if (box[2:] - box[:2]).min() < 2:  # less than a pixel may be left of its colour
            continue
        right, below = (box[:2] + box[2:]) / 2 > centre
        drawn = extent(made.image, FACE_COLOURS[2 * int(below) + int(right)])
        assert drawn is not None
        assert np.abs(np.array(drawn) - box).max() <= 1.01


def test_a_mosaic_shows_all_four_at_the_meeting_point() -> None:
    made = mosaic([flat(value, []) for value in (10, 20, 30, 40)], centre=(30, 70))
    corners = made.image[[0, 0, -1, -1], [0, -1, 0, -1], 0]
    assert corners.tolist() == [10, 20, 30, 40]
    assert made.image[69, 29:31, 0].tolist() == [10, 20]
    assert made.image[70, 29:31, 0].tolist() == [30, 40]


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), size=st.integers(4, 700))
def test_patches_and_centres_lie_inside(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    x1, y1, x2, y2 = random_patch(size, alpha=1.0, rng=rng)
    assert 0 <= x1 < x2 <= size
    assert 0 <= y1 < y2 <= size
    assert all(0 < value < size for value in random_centre(size, rng=rng))


def test_patches_of_cutmix_have_every_area_alike() -> None:
    rng = np.random.default_rng(0)
    patches = np.array([random_patch(1000, alpha=1, rng=rng) for _ in range(4000)])
    shares = (patches[:, 2:] - patches[:, :2]).prod(axis=1) / 1e6
    np.testing.assert_allclose(np.quantile(shares, [0.25, 0.5, 0.75]), [0.25, 0.5, 0.75], atol=0.03)


def test_samples_of_different_sizes_and_wrong_shares_are_refused() -> None:
    small = Sample(np.zeros((50, 50, 3), np.uint8), LabelledFaces.of([]))
    with pytest.raises(ConfigError, match="one size"):
        mixup(flat(0, []), small, share=0.5)
    with pytest.raises(ConfigError, match="share"):
        mixup(flat(0, []), flat(0, []), share=1.5)
    with pytest.raises(ConfigError, match="patch"):
        cutmix(flat(0, []), flat(0, []), patch=(10, 10, 10, 20))
    with pytest.raises(ConfigError, match="4 samples"):
        mosaic([flat(0, [])], centre=(50, 50))
    with pytest.raises(ConfigError, match="centre"):
        mosaic([flat(0, [])] * 4, centre=(0, 50))


@pytest.mark.parametrize("wrong", [{"mixup": -0.1}, {"mosaic": 0.6, "cutmix": 0.6}, {"mixup_alpha": 0.0}])
def test_impossible_settings_of_mixing_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        MixConfig(**wrong)


def test_nothing_is_mixed_by_default() -> None:
    config = MixConfig()
    assert (config.mosaic, config.cutmix, config.mixup) == (0, 0, 0)
