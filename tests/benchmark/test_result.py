from __future__ import annotations

import csv
import io
import json

import pytest

from ffcore.benchmark import Memory
from tests.benchmark.results import measured, ms, result, stages

DETECTOR = measured(
    "v2.onnx",
    *(10.0, 20.0, 40.0),
    kind="detector",
    batch=2,
    stages=stages(read=4, preprocess=2, postprocess=1, end_to_end=25),
    memory=Memory(growth=30_000_000, engine=20_000_000, process=90_000_000),
    ap={"easy": 0.9},
)
OTHER = measured("peer.onnx", 5.0, 5.0, 5.0)


def test_median_and_p90_are_those_of_the_rounds() -> None:
    timing = ms(*range(1, 12))  # so that nine of ten lie below 10 exactly
    assert timing.median_ms == pytest.approx(6)
    assert timing.p90_ms == pytest.approx(10)


def test_one_slow_round_does_not_move_the_median() -> None:
    assert ms(3, 3, 3, 3, 900).median_ms == pytest.approx(3)


def test_ratios_compare_single_photos_with_the_first_candidate() -> None:
    found = result(DETECTOR, OTHER)  # 20 ms for two photos, 5 ms for one
    assert found.ratio(DETECTOR) == 1
    assert found.ratio(OTHER) == pytest.approx(0.5)


def test_speed_counts_the_photos_of_a_batch() -> None:
    assert DETECTOR.network_images_per_second == pytest.approx(100)
    assert DETECTOR.images_per_second == pytest.approx(80)
    assert OTHER.images_per_second is None


def test_what_comes_on_top_is_a_share_of_the_network() -> None:
    assert DETECTOR.on_top == pytest.approx(7 / 20)
    assert OTHER.on_top is None


def test_the_dictionary_is_plain_and_holds_every_round() -> None:
    found = json.loads(json.dumps(result(DETECTOR, OTHER).to_dict(), allow_nan=False))
    first, second = found["candidates"]
    assert first["network"]["rounds_ms"] == [10, 20, 40]
    assert first["end_to_end"]["median_ms"] == 25
    assert first["memory"] == {"growth": 30_000_000, "engine": 20_000_000, "process": 90_000_000}
    assert second["ratio"] == 0.5
    assert second["read"] is second["memory"] is None
    assert found["machine"]["cpu"] == "A CPU"


def test_csv_has_a_row_for_each_and_leaves_empty_what_was_not_measured() -> None:
    first, second = csv.DictReader(io.StringIO(result(DETECTOR, OTHER).to_csv()))
    assert first["network_median_ms"] == "20.0"
    assert (first["read_ms"], first["postprocess_ms"], first["end_to_end_ms"]) == ("4.0", "1.0", "25.0")
    assert (first["memory_mb"], first["process_mb"], first["file_mb"]) == ("30.0", "90.0", "1.5")
    assert (first["ap_easy"], first["cpu"], first["faces"]) == ("0.9", "A CPU", "3")
    assert (second["height"], second["width"], second["rounds"]) == ("480", "640", "3")
    assert second["read_ms"] == second["faces"] == second["memory_mb"] == second["ap_easy"] == ""
    assert None not in first
    assert None not in second
