from __future__ import annotations

import importlib.util
import json
from collections import Counter
from pathlib import Path

import pytest

from ffcli.app import run
from ffcli.cluster import JobLine, progress_words, start_line, summary_lines
from ffcore.events import Failed, Noticed
from ffcore.jobs.summary import JobAdvanced, JobStarted, JobSummary, Worker
from ffcore.jobs.table import Totals
from tests.jobs.in_process import plan_of, run_here
from tests.jobs.sources import one_jpeg, tar_shards

STARTED = JobStarted(shards=20, done=4, photos=20_000, workers=16, dashboard="http://127.0.0.1:8265")


def advanced(photos: int = 6_000, shards: int = 6) -> JobAdvanced:
    return JobAdvanced(photos=photos, new=2_000, faces=9_000, errors=14, shards=shards, seconds=50.0)


def test_the_first_line_says_how_much_there_is_and_names_the_dashboard() -> None:
    assert start_line(STARTED) == (
        "20 shards with 20,000 photos, 4 of them complete; 16 actors; Ray's dashboard: http://127.0.0.1:8265"
    )
    assert start_line(JobStarted(2, 0, None, 1, "")) == "2 shards; 1 actors"


def test_the_time_left_comes_from_the_photos_where_their_number_is_known() -> None:
    words = progress_words(advanced(), STARTED)
    assert words == "6,000 of 20,000 photos, 40.0/s, 0:05:50 left, 14 errors, 6 of 20 shards"


def test_the_time_left_comes_from_the_shards_where_nobody_knows_the_photos() -> None:
    started = JobStarted(shards=20, done=4, photos=None, workers=16, dashboard="")
    words = progress_words(advanced(), started)
    assert words == "6,000 photos, 40.0/s, 0:05:50 left, 14 errors, 6 of 20 shards"
    assert "left" not in progress_words(advanced(shards=4), started)  # nothing to reckon from


def test_a_pipe_gets_plain_lines_now_and_then_and_the_last_one(capsys: pytest.CaptureFixture[str]) -> None:
    with JobLine(show=True) as line:
        line.on_event(STARTED)
        for photos in range(5_000, 6_000, 100):
            line.on_event(advanced(photos))
        line.on_event(Failed("a.jpg", "is empty (0 bytes)"))
        line.on_event(Noticed("the cluster", "2 shards are started again: a node was lost"))
        line.on_event(advanced(20_000, shards=20))
    lines = capsys.readouterr().err.splitlines()
    assert lines[1].startswith("5,000 of 20,000")
    assert lines[2:4] == [
        "featherface: a.jpg: is empty (0 bytes)",
        "the cluster: 2 shards are started again: a node was lost",
    ]
    assert lines[4].startswith("20,000 of 20,000")
    assert len(lines) == 5


def test_quiet_leaves_the_broken_photos(capsys: pytest.CaptureFixture[str]) -> None:
    with JobLine(show=False) as line:
        line.on_event(STARTED)
        line.on_event(advanced())
        line.on_event(Failed("a.jpg", "is empty (0 bytes)"))
    assert capsys.readouterr().err == "featherface: a.jpg: is empty (0 bytes)\n"


def test_the_summary_has_errors_by_kind_and_the_rate_of_every_actor() -> None:
    totals = Totals(photos=1_000, faces=2_500, shrunk=3, errors=Counter({"is truncated": 4, "is empty": 1}))
    workers = {"b/2": Worker(400, 20.0), "a/1": Worker(600, 20.0)}
    lines = summary_lines(JobSummary(totals, 2, 1_000, 25.0, workers), "s3://bucket/faces")
    assert lines == [
        "photos\t1,000",
        "faces\t2,500",
        "searched_smaller\t3",
        "errors\t5",
        "  is truncated\t4",
        "  is empty\t1",
        "photos a second\t40.0",
        "  a/1\t600 photos, 30.0 a second while busy",
        "  b/2\t400 photos, 20.0 a second while busy",
        "table\ts3://bucket/faces",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give its folder or URI as --out"),
        (["--out", "o", "--csv"], "--csv does not go with --engine ray"),
        (["--out", "o", "--crops", "c"], "--crops does not go with --engine ray"),
        (["--out", "o", "--device", "cuda"], "--device does not go with --engine ray"),
        (["--out", "o", "--engine", "spark"], "spark"),
    ],
)
def test_options_that_do_not_go_with_ray_are_refused_before_anything_starts(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.jpg").write_bytes(one_jpeg())
    assert run(["detect", str(tmp_path), "--engine", "ray", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("package", ["ray", "pyarrow"])
def test_a_missing_package_says_what_to_install(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == package else real(name, *rest)
    )
    assert run(["detect", str(tmp_path), "--engine", "ray", "--out", str(tmp_path / "o")]) == 2
    assert 'pip install "featherface[ray]"' in capsys.readouterr().err


def test_convert_makes_a_document_and_crops_of_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_here(plan_of([tar_shards(tmp_path / "in", shards=1, photos=4)]), tmp_path / "out")
    document, crops = tmp_path / "faces.json", tmp_path / "crops"
    assert run(["convert", str(tmp_path / "out"), "--coco", str(document), "--crops", str(crops)]) == 0
    faces = len(json.loads(document.read_text(encoding="utf-8"))["annotations"])
    assert capsys.readouterr().out == f"{document}\t4 images\n{crops}\t{faces:,} crops\n"
    assert len(list(crops.rglob("*.png"))) == faces > 0


def test_convert_without_anything_to_make_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["convert", str(tmp_path)]) == 2
    assert "--coco FILE" in capsys.readouterr().err
    assert run(["convert", str(tmp_path), "--coco", str(tmp_path / "x.json")]) == 3
