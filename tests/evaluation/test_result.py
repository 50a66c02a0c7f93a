from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ffcore.errors import InputError
from ffcore.evaluation.result import EvaluationResult, ap_drops, read_result, write_result
from ffcore.evaluation.scoring import evaluate
from tests.evaluation.small_sets import arrays
from tests.evaluation.twin import TwinImage

FACE = (10.0, 10.0, 39.0, 39.0)
PROTOCOL = {"name": "original", "score": 0.02, "nms": 0.4, "kept": 750}


def small_result(*, missing: tuple[str, ...] = ()) -> EvaluationResult:
    images = [
        TwinImage("0--A/a", [FACE], {"easy": set(), "medium": {0}, "hard": {0}}, [(*FACE, 0.9)]),
        TwinImage("0--A/b", [FACE], {"easy": set(), "medium": {0}, "hard": {0}}, [(*FACE, 0.1)] * 3),
        TwinImage("0--A/c", [FACE], {"easy": set(), "medium": set(), "hard": {0}}),
    ]
    truth, predictions = arrays(images)
    return evaluate(truth, replace(predictions, missing=missing), protocol=PROTOCOL)


def test_the_structured_result_holds_what_the_rules_ask_for() -> None:
    plain = small_result(missing=("0--A/c",)).to_dict(curves=True)
    assert plain["ap"] == {"easy": None, "medium": 0.75, "hard": 0.5}
    assert [plain["subsets"][name]["faces"] for name in plain["subsets"]] == [0, 2, 3]
    assert (plain["images"], plain["boxes"], plain["empty_images"]) == (3, 4, 1)
    assert (plain["score_min"], plain["score_max"]) == (0.1, 0.9)
    assert (plain["complete"], plain["missing_images"], plain["missing"]) == (False, 1, ["0--A/c"])
    assert (plain["iou_threshold"], plain["thresholds"]) == (0.5, 1000)
    assert plain["protocol"] == PROTOCOL
    curve = plain["subsets"]["hard"]["curve"]
    assert all(len(curve[key]) == 1000 for key in ("precision", "recall", "proposals", "recalled"))
    assert (curve["proposals"][-1], curve["recalled"][-1]) == (4, 2)
    assert plain["subsets"]["hard"]["recall_at_precision"] == {"0.9": 1 / 3, "0.95": 1 / 3, "0.99": 1 / 3}
    assert plain["subsets"]["easy"]["recall_at_precision"] == {"0.9": None, "0.95": None, "0.99": None}
    json.dumps(plain, allow_nan=False)


@pytest.mark.parametrize("curves", [True, False])
def test_a_written_result_reads_back_the_same(curves: bool, tmp_path: Path) -> None:
    result = small_result(missing=("0--A/c",))
    write_result(tmp_path / "result.json", result, curves=curves)
    read = read_result(tmp_path / "result.json")
    assert read.to_dict(curves=True) == result.to_dict(curves=curves)
    assert read.remarks == result.remarks
    if curves:
        first, second = result.subsets[2].curve, read.subsets[2].curve
        assert first is not None
        assert second is not None
        assert np.array_equal(first.proposals, second.proposals)
        assert second.average_precision == result.ap["hard"]


@pytest.mark.parametrize(
    "text", ["", "[]", "3", "{}", '{"ap": 3}', '{"thresholds": 11}', '{"thresholds": 1000, "subsets": 5}']
)
def test_a_file_that_is_no_result_is_refused_by_name(text: str, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"result\.json"):
        read_result(path)


def test_a_result_that_is_not_there_or_nested_without_end_is_told_in_words(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"No such file or directory$"):
        read_result(tmp_path / "none.json")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match=r"deep\.json: cannot be read"):
        read_result(tmp_path / "deep.json")


def test_a_stored_curve_that_cannot_be_is_refused(tmp_path: Path) -> None:
    plain = small_result().to_dict(curves=True)
    plain["subsets"]["hard"]["curve"]["recalled"][-1] = 99
    path = tmp_path / "result.json"
    path.write_text(json.dumps(plain))
    with pytest.raises(InputError, match=r"result\.json: .* a curve cannot find more faces"):
        read_result(path)


def test_an_incomplete_result_says_so() -> None:
    assert small_result().remarks == ()
    assert small_result(missing=("0--A/c",)).remarks == ("incomplete: 1 of 3 images have no predictions",)


def test_the_protocol_is_said_in_one_line() -> None:
    assert small_result().protocol_text == "protocol: original, score 0.02, nms 0.4, kept 750"
    assert replace(small_result(), protocol=None).protocol_text == "protocol not stated"
    assert replace(small_result(), protocol={}).protocol_text == "protocol not stated"
    assert replace(small_result(), protocol={"size": 640}).protocol_text == "protocol: size 640"


def test_the_drop_in_points_is_positive_when_the_result_got_worse() -> None:
    old = small_result()
    new = replace(old, subsets=tuple(replace(each, ap=each.ap and each.ap - 0.25) for each in old.subsets))
    assert ap_drops(new, old) == {"medium": 25.0, "hard": 25.0}
    assert ap_drops(old, new) == {"medium": -25.0, "hard": -25.0}


@pytest.mark.parametrize(
    ("change", "message"),
    [({"protocol": {"name": "vga"}}, "protocol"), ({"images": 2}, "images"), ({"iou_threshold": 0.6}, "IoU")],
)
def test_results_of_different_kinds_are_not_compared(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=f"cannot be compared, their {message}"):
        ap_drops(replace(small_result(), **change), small_result())  # type: ignore[arg-type]
