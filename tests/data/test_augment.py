from __future__ import annotations

import hashlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffcore.data import LabelledFaces
from ffcore.data.augment import WIDE_SCALES, AugmentConfig, augment, view
from ffcore.data.crop import Square, random_square, whole_photo
from ffcore.data.sample import Sample
from ffcore.errors import ConfigError
from tests.data.drawn import (
    DOT_COLOURS,
    FACE_COLOURS,
    GROUND,
    SAME_COLOURS,
    centre_of,
    extent,
    face_with_dots,
    squares,
)

SEEDS = st.integers(0, 2**32 - 1)
PLAIN = AugmentConfig(colour=SAME_COLOURS, interpolations=("linear",))
WIDE = AugmentConfig(colour=SAME_COLOURS, interpolations=("linear",), crop_scales=WIDE_SCALES)
SIZE = 256


@settings(max_examples=150, deadline=None)
@given(seed=SEEDS, config=st.sampled_from([PLAIN, WIDE]))
def test_every_box_lies_inside_and_around_its_drawn_square(seed: int, config: AugmentConfig) -> None:
    rng = np.random.default_rng(seed)
    photo = squares(rng)
    result = augment(photo, config, size=SIZE, rng=rng)
    assert result.image.shape == (SIZE, SIZE, 3)
    assert len(result.faces) >= 1
    assert (result.faces.boxes >= 0).all()
    assert (result.faces.boxes <= SIZE).all()
    for box in result.faces.boxes:
        x, y = ((box[:2] + box[2:]) / 2).astype(int)
        colour = min(FACE_COLOURS, key=lambda each: np.abs(result.image[y, x].astype(int) - each).sum())
        drawn = extent(result.image, colour)
        assert drawn is not None
        assert np.abs(np.array(drawn) - box).max() <= 1.01  # whole pixels around a border between them


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS)
def test_faces_whose_centre_is_outside_the_crop_are_gone_and_the_others_stay(seed: int) -> None:
    rng = np.random.default_rng(seed)
    photo = squares(rng)
    height, width = photo.image.shape[:2]
    square = random_square(photo.faces, (height, width), scales=(0.3, 0.6, 1.0), rng=rng)
    square = square or whole_photo(height, width)
    low, high = np.array(square[:2]), np.array(square[:2]) + square.side
    inside = ((photo.faces.centres > low) & (photo.faces.centres < high)).all(axis=1)
    assert len(view(photo, square, size=SIZE).faces) == inside.sum()


@settings(max_examples=100, deadline=None)
@given(seed=SEEDS, scales=st.sampled_from([(0.3, 0.45, 0.6, 0.8, 1.0), WIDE_SCALES]))
def test_a_drawn_square_holds_a_whole_face_and_stays_inside_unless_it_is_larger(
    seed: int, scales: tuple[float, ...]
) -> None:
    rng = np.random.default_rng(seed)
    photo = squares(rng)
    height, width = photo.image.shape[:2]
    square = random_square(photo.faces, (height, width), scales=scales, rng=rng)
    if square is None:
        return
    left, top, side = square
    assert any(abs(side - scale * min(height, width)) < 1 for scale in scales)
    for start, length in ((left, width), (top, height)):
        assert min(0, length - side) <= start <= max(0, length - side)
    boxes = photo.faces.boxes
    assert any(
        x1 >= left and y1 >= top and x2 <= left + side and y2 <= top + side for x1, y1, x2, y2 in boxes
    )


def test_each_published_scale_and_every_place_is_drawn() -> None:
    faces = LabelledFaces.of([[50, 50, 52, 52]])
    rng = np.random.default_rng(0)
    drawn = [random_square(faces, (100, 100), scales=(0.3, 0.6, 1.0), rng=rng) for _ in range(3000)]
    assert {square.side for square in drawn if square} == {30, 60, 100}
    assert {square.left for square in drawn if square and square.side == 30} == set(range(22, 51))


def test_the_whole_photo_is_taken_when_no_crop_can_hold_a_face() -> None:
    photo = Sample(np.full((100, 200, 3), 200, np.uint8), LabelledFaces.of([[0, 0, 200, 100]]))
    result = augment(photo, PLAIN, size=64, rng=np.random.default_rng(1))
    np.testing.assert_array_equal(result.faces.boxes, [[0, 0, 64, 32]])
    assert (result.image[:32] == 200).all()
    assert (result.image[32:] == GROUND).all()


@pytest.mark.parametrize("ignore", [False, True])
def test_a_photo_without_faces_to_find_is_shown_whole(ignore: bool) -> None:
    faces = LabelledFaces.of([[10, 10, 30, 30]] if ignore else [], ignore=[True] if ignore else None)
    photo = Sample(np.zeros((50, 100, 3), np.uint8), faces)
    result = augment(photo, AugmentConfig(mirror=0), size=100, rng=np.random.default_rng(1))
    assert result.faces.ignore.tolist() == [True] * ignore
    if ignore:
        np.testing.assert_array_equal(result.faces.boxes, [[10, 10, 30, 30]])


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, size=st.sampled_from([64, 512]))
def test_a_face_that_is_low_in_the_photo_counts_nothing_at_any_size(seed: int, size: int) -> None:
    boxes = [[10, 10, 30, 29], [170, 60, 190, 80]]  # 19 and 20 pixels high
    photo = Sample(np.zeros((100, 200, 3), np.uint8), LabelledFaces.of(boxes))
    config = AugmentConfig(smallest_face=20, crop_scales=(0.3, 2.0), mirror=0)
    seen = augment(photo, config, size=size, rng=np.random.default_rng(seed)).faces
    assert seen.weights[-1] == 1  # every view is drawn around a face that counts
    assert seen.weights[:-1].tolist() in ([], [0])
    assert photo.faces.weights.tolist() == [1, 1]
    plain = augment(photo, AugmentConfig(crop_scales=(0.3, 2.0)), size=size, rng=np.random.default_rng(seed))
    assert plain.faces.weights.all()


def test_an_ignored_face_stays_as_long_as_any_of_it_is_seen() -> None:
    boxes = [[0, 0, 40, 40], [0, 0, 40, 40], [0, 0, 20, 20], [32, 32, 50, 50]]
    faces = LabelledFaces.of(boxes, ignore=[True, False, True, False])
    seen = view(Sample(np.zeros((60, 60, 3), np.uint8), faces), Square(30, 30, 30), size=30).faces
    np.testing.assert_array_equal(seen.boxes, [[0, 0, 10, 10], [2, 2, 20, 20]])
    assert seen.ignore.tolist() == [True, False]


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, mirrored=st.booleans())
def test_landmarks_lie_on_their_dots_after_any_view(seed: int, mirrored: bool) -> None:
    photo = face_with_dots()
    rng = np.random.default_rng(seed)
    side = int(rng.integers(90, 300))
    square = Square(int(rng.integers(140 - side, 60, endpoint=True)), int(rng.integers(-10, 40)), side)
    if square.top + side < 120:
        square = square._replace(top=121 - side)
    result = view(photo, square, size=320, mirrored=mirrored)
    assert result.faces.has_landmarks.all()
    order = (1, 0, 2, 4, 3) if mirrored else (0, 1, 2, 3, 4)
    for point, dot in zip(result.faces.landmarks[0], order, strict=True):
        found = centre_of(result.image, DOT_COLOURS[dot])
        assert found is not None
        assert np.abs(np.array(found) - point).max() < 1.0
    left_eye, right_eye = result.faces.landmarks[0, :2]
    assert left_eye[0] < right_eye[0]


@pytest.mark.parametrize("size", [40, 80])
def test_boxes_that_were_cut_off_are_cut_off_in_the_mirror_too(size: int) -> None:
    # faces from 10.5 to 20.5 pixels and from 0.5 to 8.5, and what is left of that in whole numbers
    boxes = np.array([[10, 10, 20, 20], [0, 4, 8, 12]], np.float32)
    faces = LabelledFaces.of(boxes, landmarks=np.full((2, 5, 2), 15.5))
    photo = Sample(np.zeros((40, 40, 3), np.uint8), faces)
    seen = view(photo, Square(0, 0, 40), size=size, mirrored=True, box_offset=0.5).faces
    in_mirror = np.array([[19, 10, 29, 20], [31, 4, 39, 12]])  # from 19.5 to 29.5, from 31.5 to 39.5
    np.testing.assert_array_equal(seen.boxes, in_mirror * (size / 40))
    np.testing.assert_array_equal(seen.landmarks[..., 0], 24.5 * (size / 40))
    plain = view(photo, Square(0, 0, 40), size=size, box_offset=0.5).faces
    np.testing.assert_array_equal(plain.boxes, boxes * (size / 40))


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, degrees=st.sampled_from([0.0, 10.0]))
def test_mirrored_views_with_an_offset_hold_the_same_faces_moved(seed: int, degrees: float) -> None:
    photo = face_with_dots()
    square = Square(*(int(x) for x in np.random.default_rng(seed).integers([0, 0, 120], [60, 40, 240])))
    plain, moved = (
        view(photo, square, size=320, degrees=degrees, mirrored=True, box_offset=offset)
        for offset in (0.0, 0.5)
    )
    np.testing.assert_array_equal(plain.image, moved.image)
    np.testing.assert_array_equal(plain.faces.landmarks, moved.faces.landmarks)
    change = moved.faces.boxes - plain.faces.boxes
    assert (change[:, [0, 2]] <= 0).all()  # those cut at a border stay there
    assert (change[:, [0, 2]] >= -1.01 * 320 / square.side).all()
    assert np.abs(change[:, [1, 3]]).max(initial=0) <= 0.2 * 320 / square.side


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, mirrored=st.booleans())
def test_landmarks_lie_on_their_dots_and_the_box_on_its_middle_when_the_view_is_turned(
    seed: int, mirrored: bool
) -> None:
    photo = face_with_dots()
    rng = np.random.default_rng(seed)
    side, degrees = int(rng.integers(130, 260)), float(rng.uniform(-45, 45))
    square = Square(int(rng.integers(150 - side, 50)), int(rng.integers(130 - side, 30)), side)
    result = view(photo, square, size=320, degrees=degrees, mirrored=mirrored)
    assert result.image.shape == (320, 320, 3)
    assert result.faces.has_landmarks.all()
    order = (1, 0, 2, 4, 3) if mirrored else (0, 1, 2, 3, 4)
    for point, dot in zip(result.faces.landmarks[0], order, strict=True):
        if (point > 20).all() and (point < 300).all():
            found = centre_of(result.image, DOT_COLOURS[dot])
            assert found is not None
            assert np.abs(np.array(found) - point).max() < 1.5
    eyes = photo.faces.landmarks[0, order[1]] - photo.faces.landmarks[0, order[0]]
    before = np.degrees(np.arctan2(eyes[1], -eyes[0] if mirrored else eyes[0]))
    eyes = result.faces.landmarks[0, 1] - result.faces.landmarks[0, 0]
    after = np.degrees(np.arctan2(eyes[1], eyes[0]))
    assert before - after == pytest.approx(degrees, abs=1.0)  # y points down


@pytest.mark.parametrize("degrees", [-45.0, -20.0, 10.0, 45.0])
def test_the_box_of_a_turned_round_face_keeps_its_size_and_touches_it(degrees: float) -> None:
    image = np.full((200, 200, 3), GROUND, np.uint8)
    cv2.ellipse(image, (100, 90), (25, 40), 0, 0, 360, FACE_COLOURS[0], -1)
    photo = Sample(image, LabelledFaces.of([[75, 50, 126, 131]]))
    result = view(photo, Square(0, 0, 200), size=400, degrees=degrees)
    drawn = extent(result.image, FACE_COLOURS[0])
    assert drawn is not None
    assert np.abs(np.array(drawn) - result.faces.boxes[0]).max() <= 2.5


def test_the_corners_of_a_turned_view_show_what_is_around_the_square() -> None:
    photo = Sample(np.full((400, 400, 3), 7, np.uint8), LabelledFaces.of([[190, 190, 210, 210]]))
    result = view(photo, Square(100, 100, 200), size=64, degrees=30)
    assert (result.image == 7).all()


def test_a_face_that_turns_out_of_the_square_is_gone_and_one_that_turns_in_is_there() -> None:
    # in the corner, above the square, in the middle
    boxes = [[104, 104, 116, 116], [193, 90, 207, 98], [190, 190, 210, 210]]
    photo = Sample(np.zeros((400, 400, 3), np.uint8), LabelledFaces.of(boxes))
    square = Square(100, 100, 200)
    np.testing.assert_allclose(view(photo, square, size=200).faces.centres, [[10, 10], [100, 100]])
    seen = view(photo, square, size=200, degrees=45).faces
    aside = 106 / np.sqrt(2)
    np.testing.assert_allclose(seen.centres, [[100 - aside, 100 - aside], [100, 100]], atol=0.1)


def test_every_second_picture_is_turned_within_the_limit_and_compressed_as_often_as_asked() -> None:
    photo = face_with_dots()
    turned = AugmentConfig(colour=SAME_COLOURS, mirror=0, crop_scales=(1.0,), rotation=20)
    angles = []
    for seed in range(300):
        seen = augment(photo, turned, size=200, rng=np.random.default_rng(seed)).faces.landmarks[0]
        eyes = seen[1] - seen[0]
        angles.append(np.degrees(np.arctan2(eyes[1], eyes[0])))
    plain = np.degrees(np.arctan2(*(photo.faces.landmarks[0, 1] - photo.faces.landmarks[0, 0])[::-1]))
    away = np.abs(np.array(angles) - plain)
    assert 0.4 < (away > 0.1).mean() < 0.6
    assert 18 < away.max() <= 20.1

    plain_config = AugmentConfig(colour=SAME_COLOURS, crop_scales=(1.0,))
    compressed = AugmentConfig(colour=SAME_COLOURS, crop_scales=(1.0,), jpeg=0.3)
    changed = 0
    for seed in range(300):
        one, other = (
            augment(photo, config, size=200, rng=np.random.default_rng(seed))
            for config in (plain_config, compressed)
        )
        changed += not np.array_equal(one.image, other.image)
        assert np.abs(one.image.astype(int) - other.image).mean() < 8
        np.testing.assert_array_equal(one.faces.boxes, other.faces.boxes)
    assert 60 < changed < 120


def test_mirroring_twice_is_the_identity() -> None:
    photo = face_with_dots()
    once = view(photo, Square(10, 0, 200), size=200, mirrored=True)
    twice = view(once, Square(0, 0, 200), size=200, mirrored=True)
    straight = view(photo, Square(10, 0, 200), size=200)
    np.testing.assert_array_equal(twice.image, straight.image)
    np.testing.assert_array_equal(twice.faces.boxes, straight.faces.boxes)
    np.testing.assert_array_equal(twice.faces.landmarks, straight.faces.landmarks)


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS)
def test_a_face_without_landmarks_stays_without(seed: int) -> None:
    rng = np.random.default_rng(seed)
    result = augment(squares(rng), AugmentConfig(), size=96, rng=rng)
    assert not result.faces.has_landmarks.any()
    assert (result.faces.landmarks == 0).all()


def test_landmarks_beyond_the_crop_keep_their_place() -> None:
    photo = face_with_dots()
    result = view(photo, Square(90, 60, 100), size=100)
    expected = photo.faces.landmarks[0] - (90, 60)
    np.testing.assert_allclose(result.faces.landmarks[0], expected)
    assert result.faces.landmarks[0].min() < 0


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS)
def test_padding_keeps_the_mean_colour_whatever_colours_become(seed: int) -> None:
    rng = np.random.default_rng(seed)
    photo = Sample(np.full((60, 120, 3), 30, np.uint8), LabelledFaces.of([[0, 0, 120, 60]]))
    result = augment(photo, AugmentConfig(crop_scales=(0.5,)), size=64, rng=rng)
    assert (result.image[32:] == GROUND).all()


def test_the_same_seed_gives_the_same_sample_and_another_seed_another() -> None:
    photo = squares(np.random.default_rng(3))

    def digest(seed: int) -> str:
        result = augment(photo, AugmentConfig(), size=96, rng=np.random.default_rng(seed))
        return hashlib.sha256(result.image.tobytes() + result.faces.boxes.tobytes()).hexdigest()

    assert digest(5) == digest(5)
    assert len({digest(seed) for seed in range(8)}) == 8


def test_the_photo_itself_is_never_changed() -> None:
    photo = squares(np.random.default_rng(3))
    before = photo.image.copy()
    for seed in range(20):
        augment(photo, AugmentConfig(), size=64, rng=np.random.default_rng(seed))
    np.testing.assert_array_equal(photo.image, before)


@pytest.mark.parametrize("interpolation", ["nearest", "linear", "cubic"])
def test_shrinking_by_more_than_two_averages_instead_of_skipping(interpolation: str) -> None:
    stripes = np.zeros((400, 400, 3), np.uint8)
    stripes[:, ::2] = 200
    result = view(
        Sample(stripes, LabelledFaces.of([])), Square(0, 0, 400), size=100, interpolation=interpolation
    )
    assert np.abs(result.image.astype(int) - 100).max() <= 1


def test_a_square_beside_the_photo_is_an_error() -> None:
    photo = squares(np.random.default_rng(3))
    with pytest.raises(ConfigError, match="holds nothing"):
        view(photo, Square(5000, 0, 10), size=64)


@pytest.mark.parametrize(
    "wrong",
    [
        {"sizes": ()},
        {"sizes": (8,)},
        {"crop_scales": ()},
        {"crop_scales": (0.0,)},
        {"mirror": 1.5},
        {"rotation": 46.0},
        {"jpeg": 1.1},
        {"smallest_face": -1.0},
        {"box_offset": -0.5},
        {"interpolations": ()},
        {"interpolations": ("linaer",)},
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        AugmentConfig(**wrong)  # type: ignore[arg-type]
