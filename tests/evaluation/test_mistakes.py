from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from ffcore.errors import ConfigError
from ffcore.evaluation.mistakes import KINDS, Mistakes, mistakes
from ffcore.evaluation.scoring import match_predictions
from tests.evaluation.small_sets import SUBSETS, arrays, image_sets
from tests.evaluation.twin import TwinImage

FACE = (10.0, 10.0, 39.0, 39.0)
SHIFTED = (30.0, 10.0, 39.0, 39.0)  # IoU with FACE 1/3
OTHER = (100.0, 10.0, 39.0, 39.0)
BESIDE = (120.0, 10.0, 39.0, 39.0)  # likewise with OTHER
NOWHERE = (300.0, 300.0, 9.0, 9.0)


def of(
    faces: list[tuple[float, float, float, float]],
    kept: set[int],
    boxes: list[tuple[float, float, float, float, float]],
) -> Mistakes:
    lowest = (*NOWHERE, 0.0)  # so that scores are normalised to themselves, nearly
    images = [TwinImage("0--A/a", faces, dict.fromkeys(SUBSETS, kept), [*boxes, lowest])]
    found = mistakes(match_predictions(*arrays(images)), "hard")
    assert found is not None
    return found


def counts(found: Mistakes) -> dict[str, int]:
    return {each.kind: each.count for each in found.kinds if each.count}


def costs(found: Mistakes) -> dict[str, object]:
    return {each.kind: pytest.approx(each.cost, abs=1e-9) for each in found.kinds if abs(each.cost) > 1e-9}


def test_a_box_on_nothing_and_one_beside_an_ignored_face_halve_the_precision() -> None:
    for place, kind in ((NOWHERE, "background"), (BESIDE, "beside ignored")):
        found = of([FACE, OTHER], {0}, [(*place, 1.0), (*FACE, 0.9)])
        assert counts(found) == {kind: 1}
        assert costs(found) == {kind: 0.5}
        assert found.ap == pytest.approx(0.5)
        assert (found.precision, found.recall) == (0.5, 1.0)
        assert found.score == pytest.approx(0.9, abs=1.1e-3)


def test_a_second_box_counts_where_it_stands_before_another_face() -> None:
    found = of([FACE, OTHER], {0, 1}, [(*FACE, 1.0), (*FACE, 0.9), (*OTHER, 0.8)])
    assert counts(found) == {"duplicate": 1}
    assert costs(found) == {"duplicate": 1 / 6}  # of one half at a precision of 2/3


def test_a_misplaced_box_would_find_its_face_where_no_other_does() -> None:
    found = of([FACE, OTHER], {0, 1}, [(*OTHER, 1.0), (*SHIFTED, 0.9)])
    assert costs(found) == {"misplaced": 0.5}
    # from the best score on, where the box has not come yet
    assert counts(found) == {}
    assert (found.precision, found.recall) == (1.0, 0.5)


def test_a_misplaced_box_that_moves_takes_the_place_of_worse_ones_and_gives_way_to_better_ones() -> None:
    before = of([FACE, OTHER], {0, 1}, [(*SHIFTED, 1.0), (*FACE, 0.9), (*OTHER, 0.8)])
    assert counts(before) == {"misplaced": 1}
    assert before.ap == pytest.approx(2 / 3)
    assert costs(before) == {"misplaced": 1 / 3}
    after = of([FACE, OTHER], {0, 1}, [(*FACE, 1.0), (*SHIFTED, 0.9), (*OTHER, 0.8)])
    assert counts(after) == {"misplaced": 1}
    assert costs(after) == {"misplaced": 1 / 6}


def test_a_face_without_any_box_is_missed_one_with_a_misplaced_box_is_not() -> None:
    far = (500.0, 500.0, 20.0, 20.0)
    found = of([FACE, OTHER, far], {0, 1, 2}, [(*FACE, 1.0), (*BESIDE, 0.9)])
    assert {each.kind: each.count for each in found.kinds}["missed"] == 1
    assert costs(found) == {"misplaced": 1 / 3, "missed": 1 / 2 - 1 / 3}


def test_where_all_are_missed_nothing_else_is_wrong() -> None:
    found = of([FACE], {0}, [(*NOWHERE, 1.0)])
    assert found.ap == 0
    assert costs(found) == {"missed": 1.0}


def test_a_subset_without_faces_has_no_mistakes_and_one_that_is_not_there_is_an_error() -> None:
    images = [TwinImage("0--A/a", [FACE], {name: set() for name in SUBSETS}, [(*FACE, 0.5)])]
    matched = match_predictions(*arrays(images))
    assert mistakes(matched, "easy") is None
    with pytest.raises(ConfigError, match="did you mean 'hard'"):
        mistakes(matched, "hart")


@settings(max_examples=100, deadline=None)
@given(image_sets())
def test_every_false_box_is_of_one_kind_and_no_kind_is_of_use(images: list[TwinImage]) -> None:
    matched = match_predictions(*arrays(images))
    for subset, kept in matched.ground_truth.kept.items():
        found = mistakes(matched, subset)
        curve = matched.curve(kept)
        assert (found is None) == (curve.faces == 0)
        if found is None:
            continue
        assert [each.kind for each in found.kinds] == list(KINDS)
        assert all(-1e-12 <= each.cost <= 1 - found.ap + 1e-12 for each in found.kinds)
        f1 = 2 * curve.recalled / np.maximum(curve.proposals + curve.faces, 1)
        best = int(np.argmax(f1))
        wrong = sum(each.count for each in found.kinds if each.kind != "missed")
        assert wrong == curve.proposals[best] - curve.recalled[best]
        assert found.recall == curve.recall[best]


@settings(max_examples=60, deadline=None)
@given(image_sets())
def test_boxes_that_are_taken_away_leave_the_others_as_they_were(images: list[TwinImage]) -> None:
    truth, predictions = arrays(images)
    matched = match_predictions(truth, predictions)
    none = np.zeros(len(predictions.scores), bool)
    for kept in truth.kept.values():
        assert matched.without(~none).curve(kept).proposals.tolist() == [0] * 1000
        same = matched.without(none).curve(kept)
        assert same.proposals.tolist() == matched.curve(kept).proposals.tolist()
