from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ffcore.geometry import areas, pairwise_iou
from ffcore.geometry.boxes import pairwise_coverage

boxes = hnp.arrays(np.float32, st.tuples(st.integers(0, 6), st.just(4)), elements=st.integers(-20, 20)).map(
    lambda a: np.concatenate((a[:, :2], a[:, :2] + np.abs(a[:, 2:])), 1)
)


def test_areas_by_hand() -> None:
    two = np.array([[0, 0, 4, 5], [3, 3, 3, 9]], np.float32)
    assert areas(two).tolist() == [20, 0]
    assert areas(two, inclusive=True).tolist() == [30, 7]


def test_iou_by_hand_with_and_without_the_last_pixel() -> None:
    left, right = np.array([[0, 0, 10, 10]], np.float32), np.array([[5, 0, 15, 10]], np.float32)
    assert pairwise_iou(left, right)[0, 0] == np.float32(50 / 150)
    assert pairwise_iou(left, right, inclusive=True)[0, 0] == np.float32(66 / 176)


def test_boxes_without_area_overlap_nothing() -> None:
    point = np.array([[3, 3, 3, 3]], np.float32)
    assert pairwise_iou(point, point)[0, 0] == 0


def test_no_boxes_give_an_empty_table() -> None:
    assert pairwise_iou(np.zeros((0, 4), np.float32), np.zeros((3, 4), np.float32)).shape == (0, 3)


@given(boxes, boxes, st.booleans())
def test_iou_is_symmetric_and_between_0_and_1(first: np.ndarray, second: np.ndarray, inclusive: bool) -> None:
    table = pairwise_iou(first, second, inclusive=inclusive)
    assert np.array_equal(table, pairwise_iou(second, first, inclusive=inclusive).T)
    assert ((table >= 0) & (table <= 1)).all()


@given(boxes)
def test_a_box_with_area_overlaps_itself_fully(some: np.ndarray) -> None:
    own = np.diagonal(pairwise_iou(some, some))
    assert np.array_equal(own, (areas(some) > 0).astype(np.float32))


@pytest.mark.reference
def test_iou_equals_the_published_values(reference: Path) -> None:
    golden = np.load(reference / "golden" / "boxcoding.npz")
    priors = golden["priors"]
    corners = np.concatenate((priors[:, :2] - priors[:, 2:] / 2, priors[:, :2] + priors[:, 2:] / 2), 1)
    found = pairwise_iou(golden["gt_boxes"][:20], corners)
    assert np.abs(found - golden["iou_gt20_vs_priors"]).max() <= 1e-6


def test_coverage_is_the_part_of_the_first_box_inside_the_second() -> None:
    small, large = np.array([[0, 0, 4, 4], [2, 2, 2, 9]], np.float32), np.array([[2, 0, 20, 20]], np.float32)
    assert pairwise_coverage(small, large).tolist() == [[0.5], [0]]
    assert pairwise_coverage(large, large).tolist() == [[1]]


@given(boxes, boxes)
def test_coverage_is_never_less_than_the_iou(first: np.ndarray, second: np.ndarray) -> None:
    covered = pairwise_coverage(first, second)
    assert covered.shape == (len(first), len(second))
    assert (covered <= 1).all()
    assert (covered >= pairwise_iou(first, second) - 1e-6).all()
