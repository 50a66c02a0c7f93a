from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from ffcore.errors import ConfigError
from ffcore.evaluation.curve import Curve, thresholds
from ffcore.evaluation.predictions import Predictions, read_predictions
from ffcore.evaluation.scoring import evaluate, match_predictions, score_by_event, score_by_height
from tests.evaluation.small_sets import SUBSETS, arrays, image_sets, write_files
from tests.evaluation.twin import TwinImage, TwinResult, evaluate_slowly

FACE = (10.0, 10.0, 39.0, 39.0)
KEPT: dict[str, set[int]] = {"easy": {0}, "medium": {0}, "hard": {0}}
IGNORED: dict[str, set[int]] = {"easy": set(), "medium": set(), "hard": {0}}


def assert_same(images: list[TwinImage], slow: TwinResult, *, least_iou: float = 0.5) -> None:
    result = evaluate(*arrays(images), iou_threshold=least_iou)
    assert result.faces == slow.faces
    assert (result.score_min, result.score_max) == (slow.lo, slow.hi)
    for subset in result.subsets:
        assert subset.curve is not None
        assert subset.curve.proposals.tolist() == slow.proposals[subset.name]
        assert subset.curve.recalled.tolist() == slow.recalled[subset.name]
        expected = slow.ap[subset.name]
        assert subset.ap == (None if expected is None else pytest.approx(expected, abs=1e-12))


@settings(max_examples=150, deadline=None)
@given(image_sets())
def test_the_fast_evaluation_agrees_with_the_literal_rules(images: list[TwinImage]) -> None:
    assert_same(images, evaluate_slowly(images, SUBSETS))


@settings(max_examples=15, deadline=None)
@given(image_sets())
def test_other_overlaps_than_a_half_agree_with_the_literal_rules(images: list[TwinImage]) -> None:
    for least_iou in (0.2, 0.75, 1.0):
        slow = evaluate_slowly(images, SUBSETS, least_iou=least_iou)
        assert_same(images, slow, least_iou=least_iou)


@settings(max_examples=30, deadline=None)
@given(image_sets())
def test_files_give_the_same_result_as_memory(images: list[TwinImage]) -> None:
    truth, predictions = arrays(images)
    with tempfile.TemporaryDirectory() as folder:
        write_files(Path(folder), images)
        read = read_predictions(folder, truth)
    assert np.array_equal(read.boxes, predictions.boxes)
    assert np.array_equal(read.scores, predictions.scores)
    assert np.array_equal(read.offsets, predictions.offsets)


def random_crowd(rng: np.random.Generator, number: int) -> TwinImage:
    """Many faces side by side, in every size, with boxes around them."""
    faces = np.column_stack([rng.uniform(0, 800, (60, 2)), rng.uniform(1, 120, (60, 2))]).round(1)
    near = faces[rng.integers(0, 60, 150)] * rng.normal(1, 0.08, (150, 4))
    boxes = np.column_stack([near, rng.random(150).round(2)])
    keep = {name: set(rng.permutation(60)[: 20 + 10 * size].tolist()) for size, name in enumerate(SUBSETS)}
    return TwinImage(
        f"0--Crowd/crowd_{number}",
        [tuple(face) for face in faces.tolist()],
        keep,
        [tuple(box) for box in boxes.tolist()],
    )


def test_crowded_images_agree_with_the_literal_rules() -> None:
    rng = np.random.default_rng(7)
    images = [random_crowd(rng, number) for number in range(3)]
    slow = evaluate_slowly(images, SUBSETS)
    assert min(slow.recalled["easy"][-1], slow.recalled["hard"][-1]) > 10
    assert_same(images, slow)


def test_thresholds_are_formed_by_one_division_and_one_subtraction() -> None:
    assert thresholds().tolist() == [1 - (t + 1) / 1000 for t in range(1000)]
    assert thresholds()[699] > 0.3


def test_no_box_anywhere_is_an_ap_of_zero() -> None:
    result = evaluate(*arrays([TwinImage("0--A/a", [FACE], KEPT)]))
    assert result.ap == {"easy": 0.0, "medium": 0.0, "hard": 0.0}
    assert (result.boxes, result.empty_images, result.constant_scores) == (0, 1, False)


def test_one_single_score_is_an_ap_of_zero_and_is_said() -> None:
    images = [TwinImage("0--A/a", [FACE], KEPT, [(*FACE, 0.5), (*FACE, 0.5)])]
    result = evaluate(*arrays(images))
    assert result.ap["easy"] == 0.0
    assert result.constant_scores
    assert "all scores are equal" in result.remarks[0]


def test_a_subset_without_faces_is_undefined_and_leaves_the_others_alone() -> None:
    images = [TwinImage("0--A/a", [FACE], IGNORED, [(*FACE, 0.9), (300.0, 0.0, 9.0, 9.0, 0.1)])]
    result = evaluate(*arrays(images))
    assert result.ap == {"easy": None, "medium": None, "hard": 1.0}
    assert [subset.percent for subset in result.subsets] == ["n/a", "n/a", "100.00"]


def test_scores_too_far_apart_to_subtract_pass_nothing_and_warn_nobody() -> None:
    images = [TwinImage("0--A/a", [FACE], KEPT, [(*FACE, 1.7e308), (*FACE, -1.7e308)])]
    with np.errstate(all="raise"):
        assert evaluate(*arrays(images)).ap["easy"] == 0.0


def test_coordinates_at_the_end_of_double_match_nothing_and_warn_nobody() -> None:
    images = [
        TwinImage(
            "0--A/a",
            [FACE],
            KEPT,
            [(1.7e308, 0.0, 1.7e308, 1.0, 0.9), (-1e308, -1e308, 1.7e308, 1.7e308, 0.8), (*FACE, 0.5)],
        )
    ]
    with np.errstate(all="raise"):
        result = evaluate(*arrays(images))
    curve = result.subsets[0].curve
    assert curve is not None
    assert (curve.proposals[-1], curve.recalled[-1]) == (3, 1)


def test_predictions_of_other_images_are_refused() -> None:
    truth, predictions = arrays([TwinImage("0--A/a", [FACE], KEPT)])
    with pytest.raises(ConfigError, match="not those of the images"):
        evaluate(truth, replace(predictions, images=("0--A/b",)))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(bad: float) -> None:
    _, predictions = arrays([TwinImage("0--A/a", [FACE], KEPT, [(*FACE, 0.5)])])
    with pytest.raises(ConfigError, match="not finite"):
        replace(predictions, scores=np.array([bad]))
    with pytest.raises(ConfigError, match="not finite"):
        replace(predictions, boxes=np.array([[0, 0, bad, 1]]))


def test_single_precision_predictions_are_refused() -> None:
    with pytest.raises(ConfigError, match="float64"):
        Predictions(("a",), np.zeros((1, 4), np.float32), np.zeros(1), np.array([0, 1]))


@pytest.mark.parametrize("threshold", [0.0, -0.5, 1.01, float("nan")])
def test_an_overlap_that_cannot_be_is_refused(threshold: float) -> None:
    with pytest.raises(ConfigError, match="iou_threshold"):
        evaluate(*arrays([TwinImage("0--A/a", [FACE], KEPT)]), iou_threshold=threshold)


def test_recall_at_a_precision_is_the_highest_recall_that_is_so_precise() -> None:
    proposals = np.array([1, 2, 4] + [10] * 997)
    recalled = np.array([1, 1, 3] + [5] * 997)
    curve = Curve(proposals, recalled, faces=10)
    assert curve.recall_at_precision(0.75) == 0.3  # 3 of 4, although 1 of 2 came before
    assert curve.recall_at_precision(0.76) == 0.1
    assert curve.recall_at_precision(0.5) == 0.5
    assert Curve(proposals, 0 * recalled, faces=10).recall_at_precision(0.9) == 0.0
    assert Curve(proposals, 0 * recalled, faces=0).recall_at_precision(0.9) is None


@settings(max_examples=30, deadline=None)
@given(image_sets())
def test_the_counts_of_the_events_add_up_to_those_of_the_set(images: list[TwinImage]) -> None:
    matched = match_predictions(*arrays(images))
    by_event = score_by_event(matched)
    for place, name in enumerate(SUBSETS):
        whole = matched.curve(matched.ground_truth.kept[name])
        parts = [scores[place].curve for scores in by_event.values()]
        assert sum(part.faces for part in parts if part) == whole.faces
        assert np.array_equal(sum(part.proposals for part in parts if part), whole.proposals)
        assert np.array_equal(sum(part.recalled for part in parts if part), whole.recalled)


@settings(max_examples=30, deadline=None)
@given(image_sets())
def test_height_bands_divide_the_kept_faces(images: list[TwinImage]) -> None:
    matched = match_predictions(*arrays(images))
    bands = score_by_height(matched, edges=(2, 5), within="hard")
    assert [band.name for band in bands] == ["<2", "2-5", "5+"]
    hard = matched.curve(matched.ground_truth.kept["hard"])
    assert sum(band.faces for band in bands) == hard.faces
    assert sum(band.curve.recalled[-1] for band in bands if band.curve) == hard.recalled[-1]


def test_height_edges_must_rise() -> None:
    matched = match_predictions(*arrays([TwinImage("0--A/a", [FACE], KEPT)]))
    with pytest.raises(ConfigError, match="rise"):
        score_by_height(matched, edges=(20, 10))
    with pytest.raises(ConfigError, match="easy, medium, hard"):
        score_by_height(matched, within="big")
