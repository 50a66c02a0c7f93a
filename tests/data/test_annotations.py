from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffcore.data import AnnotatedImage, LabelledFaces
from ffcore.errors import ConfigError

POINTS = np.arange(20, dtype=np.float32).reshape(2, 5, 2)


def two_faces() -> LabelledFaces:
    return LabelledFaces.of(
        [[0, 0, 10, 20], [30, 30, 50, 60]],
        landmarks=POINTS,
        has_landmarks=[True, False],
        ignore=[False, True],
    )


def test_landmarks_that_are_not_known_are_zero_whatever_was_given() -> None:
    faces = LabelledFaces.of([[0, 0, 4, 4]], landmarks=np.full((1, 5, 2), -1), has_landmarks=[False])
    assert (faces.landmarks == 0).all()
    moved = faces.moved(scale=(3, 3), shift=(7, 7)).mirrored(100)
    assert (moved.landmarks == 0).all()
    assert not moved.has_landmarks.any()


def test_unknown_landmarks_may_be_nan_but_known_ones_may_not() -> None:
    nan = np.full((1, 5, 2), np.nan)
    assert len(LabelledFaces.of([[0, 0, 4, 4]], landmarks=nan, has_landmarks=[False])) == 1
    with pytest.raises(ConfigError, match="not finite"):
        LabelledFaces.of([[0, 0, 4, 4]], landmarks=nan)


@pytest.mark.parametrize("box", [[0, 0, 0, 5], [5, 5, 4, 9], [3, 3, 3, 3]])
def test_a_box_without_area_is_refused(box: list[float]) -> None:
    with pytest.raises(ConfigError, match="without area"):
        LabelledFaces.of([box])


def test_shapes_that_disagree_are_refused() -> None:
    with pytest.raises(ConfigError, match="got"):
        LabelledFaces.of([[0, 0, 1, 1]], has_landmarks=[True, False])


def test_a_weight_above_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="weight"):
        two_faces().weighted(1.5)


def test_choosing_and_joining_keep_every_column() -> None:
    faces = two_faces().weighted(0.25)
    again = LabelledFaces.concatenate([faces[np.array([True, False])], faces[1:]])
    for column in ("boxes", "landmarks", "has_landmarks", "ignore", "weights"):
        np.testing.assert_array_equal(getattr(again, column), getattr(faces, column))
    assert len(LabelledFaces.concatenate([])) == 0


@given(width=st.integers(1, 2000))
def test_a_mirror_of_a_mirror_shows_the_original(width: int) -> None:
    faces = two_faces()
    twice = faces.mirrored(width).mirrored(width)
    np.testing.assert_array_equal(twice.boxes, faces.boxes)
    np.testing.assert_array_equal(twice.landmarks, faces.landmarks)


def test_a_mirror_exchanges_left_and_right_landmarks() -> None:
    mirrored = two_faces().mirrored(100)
    left_eye, right_eye = POINTS[0, :2]
    np.testing.assert_array_equal(mirrored.landmarks[0, 0], [100 - right_eye[0], right_eye[1]])
    np.testing.assert_array_equal(mirrored.landmarks[0, 1], [100 - left_eye[0], left_eye[1]])


def test_clipping_drops_what_is_outside_and_leaves_landmarks_where_they_are() -> None:
    clipped = two_faces().clipped((5, 5, 25, 25))
    np.testing.assert_array_equal(clipped.boxes, [[5, 5, 10, 20]])
    np.testing.assert_array_equal(clipped.landmarks[0], POINTS[0])


def test_a_face_that_shrinks_to_nothing_is_left_out() -> None:
    faces = LabelledFaces.of([[0, 0, 1e-3, 1e-3], [0, 0, 100, 100]])
    assert len(faces.moved(scale=(1e-3, 1e-3), shift=(1000, 1000))) == 1


def test_the_event_is_the_first_folder_of_the_name() -> None:
    faces = LabelledFaces.of([])
    assert AnnotatedImage("3--Riot/x.jpg", Path("x.jpg"), faces).event == "3--Riot"
    assert AnnotatedImage("x.jpg", Path("x.jpg"), faces).event == ""
