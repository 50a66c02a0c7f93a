from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ffcore.errors import ConfigError
from ffcore.faces import Faces
from ffcore.images import METHODS, anonymize


def faces_at(*boxes: tuple[float, float, float, float]) -> Faces:
    n = len(boxes)
    return Faces(np.array(boxes, np.float32).reshape(n, 4), np.full(n, 0.9), np.zeros((n, 5, 2)))


def noise(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


coordinate = st.floats(-60, 160, width=32)


@settings(max_examples=150, deadline=None)
@given(
    boxes=st.lists(st.tuples(coordinate, coordinate, coordinate, coordinate), max_size=4),
    method=st.sampled_from(METHODS),
    shape=st.sampled_from(["ellipse", "rectangle"]),
    margin=st.floats(0, 0.5),
)
def test_pixels_outside_the_enlarged_boxes_are_untouched(boxes, method, shape, margin) -> None:  # type: ignore[no-untyped-def]
    image = noise(80, 100)
    before = image.copy()
    result = anonymize(image, faces_at(*boxes), method=method, shape=shape, margin=margin)
    assert np.array_equal(image, before)
    assert result is not image
    allowed = np.zeros((80, 100), bool)
    for x1, y1, x2, y2 in boxes:
        x1, x2 = sorted((x1, x2))
        y1, y2 = sorted((y1, y2))
        dx, dy = (x2 - x1) * margin + 1, (y2 - y1) * margin + 1
        left, top = max(0, int(np.floor(x1 - dx))), max(0, int(np.floor(y1 - dy)))
        right, bottom = max(0, int(np.ceil(x2 + dx))), max(0, int(np.ceil(y2 + dy)))
        allowed[top:bottom, left:right] = True
    assert np.array_equal(result[~allowed], image[~allowed])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("side", [4, 7, 12, 40, 150, 600])
def test_inside_nothing_of_the_original_is_left(method: str, side: int) -> None:
    """Two faces that differ in every detail but not in their mean over cells come out nearly alike."""
    size = side + 40
    board = np.indices((size, size)).sum(axis=0) % 2
    one = np.where(board[..., None] == 1, 90, 166).repeat(3, axis=2).astype(np.uint8)
    two = np.where(board[..., None] == 0, 90, 166).repeat(3, axis=2).astype(np.uint8)
    faces = faces_at((20, 20, 20 + side, 20 + side))
    inside = np.s_[20 : 20 + side, 20 : 20 + side]
    hidden = [
        anonymize(image, faces, method=method, shape="rectangle")[inside].astype(int)  # type: ignore[arg-type]
        for image in (one, two)
    ]
    assert np.abs(one[inside].astype(int) - two[inside]).min() == 76
    assert np.abs(hidden[0] - hidden[1]).max() <= 6


@pytest.mark.parametrize("method", ["blur", "pixelate"])
@pytest.mark.parametrize("side", [9, 30, 130, 700])
def test_at_most_36_numbers_per_channel_remain_of_a_face(method: str, side: int) -> None:
    """The results over many different faces span no more than 6 × 6 dimensions, plus rounding."""
    faces = faces_at((0, 0, side, side))
    step = max(1, side // 30)
    results = []
    for seed in range(60):
        image = cv2.resize(noise(14, 14, seed), (side, side), interpolation=cv2.INTER_LINEAR)
        hidden = anonymize(image, faces, method=method, margin=0, shape="rectangle")  # type: ignore[arg-type]
        results.append(hidden[::step, ::step, 0].astype(float).ravel())
    matrix = np.array(results)
    strengths = np.linalg.svd(matrix - matrix.mean(axis=0), compute_uv=False)
    assert strengths[36:].max(initial=0) < 0.02 * strengths[0]


def test_the_ellipse_covers_the_middle_of_every_side_of_the_box_and_leaves_its_corners_outside() -> None:
    image = np.full((100, 100, 3), 255, np.uint8)
    result = anonymize(image, faces_at((30, 30, 70, 70)), method="solid", margin=0.15)
    for y, x in ((50, 50), (30, 50), (69, 50), (50, 30), (50, 69)):
        assert result[y, x].tolist() == [0, 0, 0]
    assert result[24, 24].tolist() == [255, 255, 255]
    whole = anonymize(image, faces_at((30, 30, 70, 70)), method="solid", margin=0.15, shape="rectangle")
    assert (whole == 0).all(axis=2).sum() == 52 * 52


@pytest.mark.parametrize("method", METHODS)
def test_the_smallest_face_loses_at_least_one_pixel(method: str) -> None:
    image = noise(20, 20)
    for box in ((5.2, 5.2, 5.3, 5.3), (5, 5, 5, 5), (3, 3, 6, 6)):
        shape = "rectangle"
        result = anonymize(image, faces_at(box), method=method, shape=shape)  # type: ignore[arg-type]
        if box == (3, 3, 6, 6):
            assert len(np.unique(result[3:6, 3:6].reshape(-1, 3), axis=0)) == 1
        if method == "solid":
            assert (result == 0).all(axis=2).any()


def test_overlapping_faces_bring_nothing_back() -> None:
    image = noise(60, 60)
    result = anonymize(image, faces_at((10, 10, 40, 40), (20, 20, 50, 50)), method="solid", shape="rectangle")
    assert (result[10:40, 10:40] == 0).all()
    assert (result[20:50, 20:50] == 0).all()


def test_no_faces_and_faces_outside_give_an_equal_copy() -> None:
    image = noise(30, 30)
    for faces in (Faces.empty(), faces_at((100, 100, 120, 120), (-50, -50, -20, -20))):
        result = anonymize(image, faces)
        assert np.array_equal(result, image)
        assert not np.shares_memory(result, image)


def test_impossible_settings_are_refused() -> None:
    image = noise(10, 10)
    with pytest.raises(ConfigError, match="did you mean 'blur'"):
        anonymize(image, Faces.empty(), method="blurr")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="shape"):
        anonymize(image, Faces.empty(), shape="star")  # type: ignore[arg-type]
    for margin in (-0.1, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="margin"):
            anonymize(image, Faces.empty(), margin=margin)
