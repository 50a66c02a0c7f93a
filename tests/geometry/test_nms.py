from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffcore.errors import ConfigError
from ffcore.geometry import nms


def by_hand(boxes: np.ndarray, scores: np.ndarray, threshold: float) -> list[int]:
    """The rule, one pair at a time, in the arithmetic of the published code."""
    one = np.float32(1)
    kept: list[int] = []
    for i in sorted(range(len(scores)), key=lambda i: (-scores[i], i)):
        for j in kept:
            a, b = boxes[i], boxes[j]
            w = max(np.float32(0), min(a[2], b[2]) - max(a[0], b[0]) + one)
            h = max(np.float32(0), min(a[3], b[3]) - max(a[1], b[1]) + one)
            union = (a[2] - a[0] + one) * (a[3] - a[1] + one) + (b[2] - b[0] + one) * (b[3] - b[1] + one)
            if w * h / (union - w * h) > np.float32(threshold):
                break
        else:
            kept.append(i)
    return kept


@st.composite
def detections(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    n = draw(st.integers(0, 200))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    field = draw(st.sampled_from([6, 30, 300]))
    whole = draw(st.booleans())  # whole numbers meet the threshold exactly
    corners, sides = rng.uniform(0, field, (n, 2)), rng.uniform(0, 10, (n, 2))
    if whole:
        corners, sides = np.floor(corners), np.floor(sides)
    corners = corners.astype(np.float32)
    scores = rng.integers(0, 8, n) / 8 if draw(st.booleans()) else rng.random(n)
    return np.concatenate((corners, corners + sides.astype(np.float32)), 1), scores.astype(np.float32)


@settings(deadline=None)
@given(detections(), st.sampled_from([0.0, 0.2, 0.25, 1 / 3, 0.4, 0.5, 0.75, 1.0]))
def test_every_set_of_boxes_gives_what_the_rule_says(
    some: tuple[np.ndarray, np.ndarray], threshold: float
) -> None:
    assert nms(*some, threshold=threshold).tolist() == by_hand(*some, threshold)


@settings(deadline=None)
@given(detections(), st.integers(0, 30))
def test_a_limit_gives_the_first_of_the_full_answer(some: tuple[np.ndarray, np.ndarray], limit: int) -> None:
    assert nms(*some, threshold=0.4, limit=limit).tolist() == nms(*some, threshold=0.4)[:limit].tolist()


def test_a_box_at_exactly_the_threshold_stays() -> None:
    # Ten by ten pixels each, shifted by five: 50 of 150 shared.
    boxes = np.array([[0, 0, 9, 9], [5, 0, 14, 9]], np.float32)
    scores = np.array([0.9, 0.8], np.float32)
    assert nms(boxes, scores, threshold=1 / 3).tolist() == [0, 1]
    assert nms(boxes, scores, threshold=0.333).tolist() == [0]


def test_of_equal_scores_the_lower_index_wins() -> None:
    boxes = np.tile(np.array([0, 0, 9, 9], np.float32), (3, 1))
    assert nms(boxes, np.full(3, 0.5, np.float32), threshold=0.4).tolist() == [0]


def test_no_boxes_leave_no_boxes() -> None:
    assert nms(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), threshold=0.4).shape == (0,)


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_an_impossible_threshold_is_an_error(threshold: float) -> None:
    with pytest.raises(ConfigError, match="threshold"):
        nms(np.zeros((1, 4), np.float32), np.zeros(1, np.float32), threshold=threshold)


def test_boxes_and_scores_of_different_length_are_an_error() -> None:
    with pytest.raises(ConfigError, match=r"\(2, 4\)"):
        nms(np.zeros((2, 4), np.float32), np.zeros(3, np.float32), threshold=0.4)


@pytest.mark.reference
@pytest.mark.parametrize("case", ["few", "many", "many_tight", "normalised", "edge"])
def test_published_cases_keep_the_same_boxes(case: str, reference: Path) -> None:
    golden = np.load(reference / "golden" / "nms.npz")
    dets = golden[f"{case}/dets"]
    kept = nms(dets[:, :4], dets[:, 4], threshold=float(golden[f"{case}/thresh"]))
    assert kept.tolist() == golden[f"{case}/keep"].tolist()
