"""The numbers of the public evaluator: average precision to 1e-9, counts exactly."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ffcore.errors import MissingPredictionsError
from ffcore.evaluation.curve import THRESHOLDS, Curve, thresholds
from ffcore.evaluation.ground_truth import GroundTruth
from ffcore.evaluation.predictions import Predictions, read_predictions
from ffcore.evaluation.result import EvaluationResult
from ffcore.evaluation.scoring import Matched, evaluate, match_predictions
from ffcore.evaluation.wider_mat import SUBSETS, read_wider_ground_truth
from tests.evaluation.twin import TwinImage, evaluate_slowly

pytestmark = pytest.mark.reference

SETS = ("real_a", "real_b", "synthetic")
Unpack = Callable[[str], Path]
Read = Callable[[str], Predictions]

CASES = (
    *("score_ties", "duplicates", "ignored_faces", "best_face_is_ignored", "best_face_already_taken"),
    *("equal_overlap_takes_first", "iou_exactly_half", "no_faces_in_subset", "subset_empty_everywhere"),
    *("empty_predictions", "all_predictions_empty", "image_without_boxes", "all_scores_equal"),
    *("scores_inside_one_bin", "scores_on_thresholds", "normalisation_matters", "scores_outside_0_1"),
    *("unsorted_file", "degenerate_annotations", "top_score_on_ignored", "fractional_boxes"),
)


def assert_ap(ap: Mapping[str, float | None], expected: Mapping[str, float | None]) -> None:
    assert list(ap) == list(SUBSETS)
    for name, value in expected.items():
        assert ap[name] == (None if value is None else pytest.approx(value, abs=1e-9)), name


def assert_counts(result: EvaluationResult, points: Mapping[str, list[dict[str, Any]]]) -> None:
    for subset in result.subsets:
        assert subset.curve is not None
        assert len(points[subset.name]) == 10
        for point in points[subset.name]:
            t = point["t"]
            found = (int(subset.curve.proposals[t]), int(subset.curve.recalled[t]))
            assert found == (point["proposals"], point["recalled"]), (subset.name, t)
            assert subset.curve.precision[t] == (point["precision"] or 0.0)
            assert subset.curve.recall[t] == point["recall"]


@pytest.mark.parametrize("name", SETS)
def test_all_images_score_as_with_the_public_evaluator(
    name: str, golden: dict[str, Any], official: GroundTruth, predictions_of: Read
) -> None:
    expected = golden["all_images"][name]
    result = evaluate(official, predictions_of(name))
    assert_ap(result.ap, expected["ap"])
    assert_counts(result, expected["curve_points"])
    assert result.faces == golden["faces"]
    assert (result.images, result.boxes) == (expected["images"], expected["boxes"])
    assert result.empty_images == expected["empty_images"]
    assert (result.score_min, result.score_max) == (expected["score_min"], expected["score_max"])
    assert result.complete
    assert not result.remarks


@pytest.mark.parametrize("name", SETS)
def test_200_images_by_name_score_as_if_there_were_no_others(
    name: str, golden: dict[str, Any], official: GroundTruth, folder: Path, unpacked: Unpack
) -> None:
    expected = golden["subset200"][name]
    truth = official.only(json.loads((folder / "subset200.json").read_text()))
    result = evaluate(truth, read_predictions(unpacked(f"predictions_{name}"), truth))
    assert_ap(result.ap, expected["ap"])
    assert_counts(result, expected["curve_points"])
    assert result.faces == expected["faces"]
    assert result.images == 200
    assert (result.score_min, result.score_max) == (expected["score_min"], expected["score_max"])
    assert result.remarks == ("a part of the set: 200 images",)


def test_the_cut_down_files_hold_the_200_images(
    official: GroundTruth, folder: Path, unpacked: Unpack
) -> None:
    read = read_wider_ground_truth(unpacked("subset200_ground_truth"), official=False)
    chosen = official.only(json.loads((folder / "subset200.json").read_text()))
    assert read.images == chosen.images
    assert np.array_equal(read.boxes, chosen.boxes)
    assert all(np.array_equal(read.kept[name], chosen.kept[name]) for name in SUBSETS)


def test_the_literal_rules_give_the_golden_numbers_too(
    golden: dict[str, Any], official: GroundTruth, folder: Path, unpacked: Unpack
) -> None:
    truth = official.only(json.loads((folder / "subset200.json").read_text()))
    predictions = read_predictions(unpacked("predictions_synthetic"), truth)
    slow = evaluate_slowly(twin_images(truth, predictions), list(SUBSETS))
    expected = golden["subset200"]["synthetic"]
    assert_ap(slow.ap, expected["ap"])
    for name in SUBSETS:
        for point in expected["curve_points"][name]:
            assert slow.proposals[name][point["t"]] == point["proposals"]
            assert slow.recalled[name][point["t"]] == point["recalled"]


def twin_images(truth: GroundTruth, predictions: Predictions) -> list[TwinImage]:
    images = []
    for number, name in enumerate(truth.images):
        rows = slice(*truth.offsets[number : number + 2].tolist())
        mine = slice(*predictions.offsets[number : number + 2].tolist())
        boxes = np.column_stack([predictions.boxes[mine], predictions.scores[mine]]).tolist()
        keep = {subset: set(np.flatnonzero(mask[rows]).tolist()) for subset, mask in truth.kept.items()}
        faces = [tuple(face) for face in truth.boxes[rows].tolist()]
        images.append(TwinImage(name, faces, keep, [tuple(box) for box in boxes]))
    return images


def test_missing_files_are_an_error_and_count_as_empty_only_on_request(
    golden: dict[str, Any], official: GroundTruth, unpacked: Unpack, tmp_path: Path
) -> None:
    removed = golden["missing_files"]["removed"]
    whole = unpacked(f"predictions_{golden['missing_files']['set']}")
    for image in set(official.images) - set(removed):
        place = tmp_path / f"{image}.txt"
        place.parent.mkdir(exist_ok=True)
        os.link(whole / f"{image}.txt", place)
    with pytest.raises(MissingPredictionsError, match=r"25 of 3,226 images .* and 5 more") as caught:
        read_predictions(tmp_path, official)
    assert sorted(caught.value.missing) == sorted(removed)

    result = evaluate(official, read_predictions(tmp_path, official, missing="empty"))
    assert_ap(result.ap, golden["missing_files"]["counted_as_empty"])
    assert result.faces == golden["faces"]
    assert not result.complete
    assert sorted(result.to_dict()["missing"]) == sorted(removed)
    assert result.remarks == ("incomplete: 25 of 3,226 images have no predictions",)

    dropped = official.only(set(official.images) - set(removed))  # what must not happen unasked
    hidden = evaluate(dropped, read_predictions(tmp_path, dropped))
    assert_ap(hidden.ap, golden["missing_files"]["silently_dropped_wrong"])


@pytest.mark.parametrize("name", CASES)
def test_small_cases(name: str, folder: Path, unpacked: Unpack) -> None:
    case = case_called(name, folder)
    place = unpacked("cases") / name
    truth = read_wider_ground_truth(place / "ground_truth", official=False)
    result = evaluate(truth, read_predictions(place / "pred", truth))
    assert_ap(result.ap, case["expected"])
    assert result.faces == case["faces"]
    for subset in result.subsets:
        assert subset.curve is not None
        final = {"proposals": subset.curve.proposals[-1], "recalled": subset.curve.recalled[-1]}
        assert final == case["final_counts"][subset.name]


@pytest.mark.parametrize("name", CASES)
def test_small_cases_by_the_literal_rules(name: str, folder: Path) -> None:
    case = case_called(name, folder)
    images = [
        TwinImage(
            f"{image['event']}/{image['name']}",
            [tuple(face) for face in image["boxes"]],
            {subset: {row - 1 for row in rows} for subset, rows in image["keep"].items()},
            [tuple(box) for box in image["predictions"]],
        )
        for image in case["images"]
    ]
    assert_ap(evaluate_slowly(images, list(SUBSETS)).ap, case["expected"])


def test_no_small_case_is_left_out(folder: Path) -> None:
    assert [case["name"] for case in json.loads((folder / "cases.json").read_text())["cases"]] == list(CASES)


def case_called(name: str, folder: Path) -> dict[str, Any]:
    cases = json.loads((folder / "cases.json").read_text())["cases"]
    return next(case for case in cases if case["name"] == name)


# Typical errors made on purpose. Each must give the number that golden.json lists for it: this shows
# that the sets tell right from wrong, and that the right number is right for the right reason.


def without_the_pixel(matched: Matched) -> Matched:
    # one pixel less on either side of either box turns x2 - x1 + 1 into x2 - x1
    shrink = np.array([0.0, 0.0, 1.0, 1.0])
    truth = replace(matched.ground_truth, boxes=matched.ground_truth.boxes - shrink)
    return match_predictions(truth, replace(matched.predictions, boxes=matched.predictions.boxes - shrink))


def entering_at(matched: Matched, normalised: np.ndarray) -> Matched:
    entry = THRESHOLDS - np.searchsorted(thresholds()[::-1], normalised, side="right")
    return replace(matched, entry=entry)


def not_normalised(matched: Matched) -> Matched:
    return entering_at(matched, matched.predictions.scores)


def normalised_per_image(matched: Matched) -> Matched:
    scores, offsets = matched.predictions.scores.copy(), matched.predictions.offsets
    for first, last in pairwise(offsets):
        mine = scores[first:last]
        low, high = mine.min(initial=1.0), mine.max(initial=0.0)
        scores[first:last] = (mine - low) / (high - low) if high > low else 1.0
    return entering_at(matched, scores)


def first_boxes_only(matched: Matched, most: int) -> Matched:
    offsets = matched.predictions.offsets
    counts = np.diff(offsets)
    rank = np.arange(len(matched.entry)) - np.repeat(offsets[:-1], counts)
    some = Predictions(
        matched.predictions.images,
        matched.predictions.boxes[rank < most],
        matched.predictions.scores[rank < most],
        np.concatenate([[0], np.cumsum(np.minimum(counts, most))]),
    )
    return match_predictions(matched.ground_truth, some)


def rounded(matched: Matched) -> Matched:
    boxes = np.round(matched.predictions.boxes)
    return match_predictions(matched.ground_truth, replace(matched.predictions, boxes=boxes))


MISTAKES: dict[str, Callable[[Matched], Matched]] = {
    "correct": lambda matched: matched,
    "IoU without +1": without_the_pixel,
    "no score normalisation": not_normalised,
    "normalised per image": normalised_per_image,
    "first 750 boxes per image only": lambda matched: first_boxes_only(matched, 750),
    "first 300 boxes per image only": lambda matched: first_boxes_only(matched, 300),
    "coordinates rounded to integers": rounded,
}


@pytest.mark.parametrize("name", ["real_a", "synthetic"])
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_typical_mistake_gives_its_own_number(
    mistake: str, name: str, golden: dict[str, Any], official: GroundTruth, predictions_of: Read
) -> None:
    matched = MISTAKES[mistake](match_predictions(official, predictions_of(name)))
    ap = {name: matched.curve(kept).average_precision for name, kept in official.kept.items()}
    assert_ap(ap, golden["common_mistakes"][name][mistake])


@pytest.mark.parametrize("name", SETS)
def test_mistakes_in_counting_give_their_own_numbers(
    name: str, golden: dict[str, Any], official: GroundTruth, predictions_of: Read
) -> None:
    matched = match_predictions(official, predictions_of(name))
    image = np.repeat(np.arange(len(official.images)), official.face_counts)
    mistakes = golden["common_mistakes"][name]
    for subset, kept in official.kept.items():
        right = matched.curve(kept)
        without = np.isin(np.arange(len(official.images)), image[kept])
        skipped = matched.curve(kept, images=without)
        ignored_are_false = Curve(
            np.cumsum(np.bincount(matched.entry, minlength=THRESHOLDS + 1)[:THRESHOLDS]),
            right.recalled,
            right.faces,
        )
        again = (matched.matches.face >= 0) & kept[matched.matches.face] & ~matched.matches.first
        repeats = np.cumsum(np.bincount(matched.entry[again], minlength=THRESHOLDS + 1)[:THRESHOLDS])
        free_repeats = Curve(right.proposals - repeats, right.recalled, right.faces)
        for curve, mistake in (
            (skipped, "images without faces in the subset skipped"),
            (ignored_are_false, "boxes on ignored faces counted as false"),
            (free_repeats, "duplicates on a found face not counted"),
        ):
            assert curve.average_precision == pytest.approx(mistakes[mistake][subset], abs=1e-9), mistake
