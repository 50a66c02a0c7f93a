from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from ffcore.errors import ConfigError, InputError
from ffcore.geometry.alignment import ARCFACE_TEMPLATE, align_face, similarity_transform

angles = st.floats(-math.pi, math.pi)
scales = st.floats(0.05, 50)
shifts = st.tuples(st.floats(-2000, 2000), st.floats(-2000, 2000))
points = st.lists(st.tuples(st.floats(-300, 300), st.floats(-300, 300)), min_size=3, max_size=8).map(np.array)


def moved(
    pattern: NDArray[np.float64], angle: float, scale: float, shift: tuple[float, float]
) -> NDArray[np.float64]:
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return scale * pattern @ turn.T + np.array(shift)


def apply(matrix: NDArray[np.float64], pattern: NDArray[np.float64]) -> NDArray[np.float64]:
    return pattern @ matrix[:, :2].T + matrix[:, 2]


def picture(height: int = 400, width: int = 500) -> NDArray[np.uint8]:
    """Smooth colours, so that positions can be compared by value."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 / width, y * 255 / height, (x + y) * 255 / (width + height)], axis=2).astype(
        np.uint8
    )


@given(pattern=points, angle=angles, scale=scales, shift=shifts)
def test_a_known_rotation_scale_and_shift_is_recovered(pattern, angle, scale, shift) -> None:  # type: ignore[no-untyped-def]
    assume(pattern.std(axis=0).max() > 1)
    goal = moved(pattern, angle, scale, shift)
    matrix = similarity_transform(pattern, goal)
    assert np.allclose(apply(matrix, pattern), goal, atol=1e-6 * (1 + np.abs(goal).max()))
    assert math.hypot(matrix[0, 0], matrix[1, 0]) == pytest.approx(scale, rel=1e-6)


@given(pattern=points, noise=points, angle=angles)
def test_the_result_is_never_a_reflection_and_no_other_map_is_nearer(pattern, noise, angle) -> None:  # type: ignore[no-untyped-def]
    count = min(len(pattern), len(noise))
    pattern, goal = pattern[:count], noise[:count]
    try:
        matrix = similarity_transform(pattern, goal)
    except InputError:
        assume(False)
    turn = matrix[:, :2]
    assert np.linalg.det(turn) > 0
    assert turn[0, 0] == turn[1, 1]
    assert turn[0, 1] == -turn[1, 0]
    best = ((apply(matrix, pattern) - goal) ** 2).sum()
    for change in (
        0.99,
        1.01,
        *(np.array([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]]) for a in (0.01, angle)),
    ):
        other = matrix.copy()
        other[:, :2] = turn * change if isinstance(change, float) else turn @ change
        other[:, 2] = goal.mean(axis=0) - other[:, :2] @ pattern.mean(axis=0)
        assert ((apply(other, pattern) - goal) ** 2).sum() >= best * (1 - 1e-9) - 1e-6


def test_a_mirrored_face_is_not_unmirrored() -> None:
    """The viewer's left eye stays on the left even when the points come in the wrong order."""
    mirrored = ARCFACE_TEMPLATE * [-1, 1] + [112, 0]
    matrix = similarity_transform(mirrored, ARCFACE_TEMPLATE)
    assert np.linalg.det(matrix[:, :2]) > 0
    assert np.abs(apply(matrix, mirrored) - ARCFACE_TEMPLATE).max() > 10


def test_landmarks_at_the_template_change_nothing() -> None:
    image = picture(112, 112)
    assert np.array_equal(align_face(image, ARCFACE_TEMPLATE), image)


@pytest.mark.parametrize("size", [112, 224, 56, 1])
@pytest.mark.parametrize(("angle", "scale"), [(0.0, 1.0), (0.6, 1.3), (-2.5, 0.8), (0.2, 3.0)])
def test_what_lies_at_a_landmark_is_found_at_its_place_in_the_template(
    angle: float, scale: float, size: int
) -> None:
    image = picture(900, 900)
    middle = ARCFACE_TEMPLATE.mean(axis=0)
    landmarks = moved(ARCFACE_TEMPLATE - middle, angle, scale, (450, 450))
    face = align_face(image, landmarks, size=size)
    assert face.shape == (size, size, 3)
    assert face.dtype == np.uint8
    if size > 1:
        for (x, y), place in zip(landmarks, ARCFACE_TEMPLATE * size / 112, strict=True):
            seen = face[round(place[1]), round(place[0])].astype(int)
            assert np.abs(seen - image[round(y), round(x)]).max() <= 2


def test_fine_detail_of_a_large_face_is_averaged_not_skipped() -> None:
    lines = np.zeros((2000, 2000, 3), np.uint8)
    lines[:, ::2] = 255
    face = align_face(lines, ARCFACE_TEMPLATE * 16 + 50)
    assert 120 < face[10:100, 10:100].mean() < 135
    assert face[10:100, 10:100].std() < 12


def test_shrinking_first_moves_nothing() -> None:
    y, x = np.mgrid[:1200, :1200]
    image = np.repeat((127 + 120 * np.sin(x / 90) * np.cos(y / 70))[..., None], 3, axis=2).astype(np.uint8)
    landmarks = moved(ARCFACE_TEMPLATE, 0.3, 6.0, (300, 150))
    matrix = similarity_transform(landmarks, ARCFACE_TEMPLATE)
    plain = cv2.warpAffine(image, matrix, (112, 112))
    assert np.abs(align_face(image, landmarks).astype(int) - plain)[2:-2, 2:-2].max() <= 6


@pytest.mark.parametrize(("scale", "shift"), [(1.5, 3.0), (3.0, 0.0), (3.3, 7.0), (2.7, 40.0), (8.0, 11.5)])
def test_an_edge_is_found_within_a_twentieth_of_a_pixel_however_the_face_is_shrunk(
    scale: float, shift: float
) -> None:
    errors = []
    start = int(shift + 40 * scale)
    for edge in range(start, start + 24):
        image = np.full((950, 950, 3), 255, np.uint8)
        image[:, :edge] = 0
        face = align_face(image, ARCFACE_TEMPLATE * scale + shift)
        dark = float((255 - face[5:-5, :, 0].astype(float)).mean(axis=0).sum() / 255)
        # The edge lies half a pixel before the first white one, and so it does in the face.
        errors.append(dark - 0.5 - (edge - 0.5 - shift) / scale)
    assert abs(np.mean(errors)) < 0.05
    assert np.abs(errors).max() < 0.6


def test_a_face_at_the_border_is_filled_with_black() -> None:
    face = align_face(np.full((100, 100, 3), 255, np.uint8), ARCFACE_TEMPLATE - [60, 0])
    assert (face[:, :50] == 0).all()
    assert (face[5:95, 62:] == 255).all()
    far = align_face(np.full((100, 100, 3), 255, np.uint8), ARCFACE_TEMPLATE * 10 + 1e5)
    assert (far == 0).all()


@pytest.mark.parametrize(
    "landmarks", [np.zeros((5, 2)), np.full((5, 2), 333.3), np.full((5, 2), np.nan), np.full((5, 2), np.inf)]
)
def test_landmarks_that_determine_no_position_are_an_input_error(landmarks: NDArray[np.float64]) -> None:
    with pytest.raises(InputError):
        align_face(picture(), landmarks)


def test_points_on_a_line_suffice() -> None:
    matrix = similarity_transform([[0, 0], [1, 0], [2, 0]], [[5, 5], [5, 7], [5, 9]])
    assert np.allclose(matrix, [[0, -2, 5], [2, 0, 5]])


def test_wrong_shapes_and_sizes_are_argument_errors() -> None:
    for landmarks in (np.zeros((4, 2)), np.zeros(10), np.zeros((1, 5, 2))):
        with pytest.raises(ConfigError, match=r"\(5, 2\)"):
            align_face(picture(), landmarks)
    with pytest.raises(ConfigError, match="size"):
        align_face(picture(), ARCFACE_TEMPLATE, size=0)
