from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffcore.errors import ConfigError
from ffcore.faces import Faces


def some_faces(count: int, seed: int = 0) -> Faces:
    random = np.random.default_rng(seed)
    low = random.integers(0, 100, (count, 2)).astype(np.float32)
    return Faces(
        boxes=np.concatenate([low, low + random.integers(1, 50, (count, 2))], axis=1),
        scores=random.random(count),
        landmarks=random.integers(0, 100, (count, 5, 2)),
    )


def test_values_become_float32_arrays_of_the_right_shape() -> None:
    faces = Faces(boxes=[[1, 2, 3, 4]], scores=[0.5], landmarks=np.zeros((1, 5, 2)))  # type: ignore[arg-type]
    assert faces.boxes.dtype == faces.scores.dtype == faces.landmarks.dtype == np.float32


@pytest.mark.parametrize(
    ("boxes", "scores", "landmarks"),
    [
        (np.zeros((2, 4)), np.zeros(1), np.zeros((1, 5, 2))),
        (np.zeros((1, 4)), np.zeros(1), np.zeros((1, 10))),
        (np.zeros((1, 5)), np.zeros(1), np.zeros((1, 5, 2))),
        (np.zeros((1, 4)), np.float32(0), np.zeros((1, 5, 2))),
        (np.full((1, 4), np.nan), np.zeros(1), np.zeros((1, 5, 2))),
        (np.zeros((1, 4)), np.array([np.inf]), np.zeros((1, 5, 2))),
    ],
)
def test_what_does_not_fit_is_refused(boxes: np.ndarray, scores: np.ndarray, landmarks: np.ndarray) -> None:
    with pytest.raises(ConfigError):
        Faces(boxes=boxes, scores=scores, landmarks=landmarks)


def test_indexing_takes_a_number_a_slice_a_list_and_a_mask() -> None:
    faces = some_faces(4)
    assert len(faces[1]) == 1
    assert faces[1] == faces[[1]] == faces[1:2] == faces[np.array([False, True, False, False])]
    assert len(faces[[]]) == 0
    assert [len(face) for face in faces] == [1, 1, 1, 1]


def test_none_and_all_can_be_joined() -> None:
    faces = some_faces(3)
    assert Faces.concatenate([faces[:1], Faces.empty(), faces[1:]]) == faces
    assert len(Faces.concatenate([])) == 0


def test_above_is_strict_and_by_score_is_stable() -> None:
    faces = some_faces(3)
    faces = Faces(boxes=faces.boxes, scores=np.array([0.5, 0.9, 0.5]), landmarks=faces.landmarks)
    assert len(faces.above(0.5)) == 1
    assert faces.by_score() == faces[[1, 0, 2]]


@given(seed=st.integers(0, 999), count=st.integers(0, 5), width=st.integers(100, 400))
def test_mirroring_twice_changes_nothing(seed: int, count: int, width: int) -> None:
    faces = some_faces(count, seed)
    assert faces.mirrored(width).mirrored(width) == faces


def test_mirroring_swaps_left_and_right_landmarks() -> None:
    faces = some_faces(1)
    mirrored = faces.mirrored(200)
    assert mirrored.boxes[0].tolist() == [
        200 - faces.boxes[0, 2],
        faces.boxes[0, 1],
        200 - faces.boxes[0, 0],
        faces.boxes[0, 3],
    ]
    assert mirrored.landmarks[0, 0].tolist() == [200 - faces.landmarks[0, 1, 0], faces.landmarks[0, 1, 1]]
    assert mirrored.landmarks[0, 2].tolist() == [200 - faces.landmarks[0, 2, 0], faces.landmarks[0, 2, 1]]


def test_scaling_and_shifting_and_back() -> None:
    faces = some_faces(3)
    there = faces.transformed(scale=(2, 4), shift=(8, 16))
    assert there.boxes[0, 0] == faces.boxes[0, 0] * 2 + 8
    assert there.boxes[0, 3] == faces.boxes[0, 3] * 4 + 16
    assert there.transformed(shift=(-8, -16)).transformed(scale=(0.5, 0.25)) == faces


def test_clipping_cuts_boxes_and_leaves_landmarks() -> None:
    faces = some_faces(3)
    clipped = faces.clipped(50, 60)
    assert clipped.boxes[:, 0::2].max() <= 50
    assert clipped.boxes[:, 1::2].max() <= 60
    assert np.array_equal(clipped.landmarks, faces.landmarks)
