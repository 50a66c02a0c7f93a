from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import pytest
import torch

import ffcore.benchmark.job as job
from ffcore.benchmark import BenchmarkOptions, benchmark
from ffcore.benchmark.candidate import Sample
from ffcore.errors import CheckpointError, ConfigError, ImageError
from ffcore.events import Advanced, Event, Started
from ffcore.images import read_image
from tests.detection.toys import toy_onnx

QUICK = BenchmarkOptions(size=(64, 96), rounds=3, warmup=1, memory=False)


class Recorder:
    """A candidate that notes when it is asked."""

    kind = "network"
    backend = "onnxruntime"
    device = "cpu"
    batch = 1
    size = (64, 96)
    facts: dict[str, str] = {}  # noqa: RUF012

    def __init__(self, path: Path, calls: list[str]) -> None:
        self.path, self._calls = path, calls
        self._calls_of_mine = 0

    def round(self, photo: Path) -> Sample:
        self._calls.append(self.path.stem)
        self._calls_of_mine += 1
        return Sample(float(self._calls_of_mine))


def test_each_round_runs_everyone_once_in_an_order_that_moves_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    files = [toy_onnx(tmp_path / f"{name}.onnx") for name in "abc"]
    monkeypatch.setattr(job, "open_candidate", lambda path, *_: Recorder(path, calls))
    found = benchmark([], files, options=QUICK)
    assert calls == [*"abc", *"bca", *"cab", *"abc"]
    assert found.measurements[0].network.seconds == (2, 3, 4)  # the first warms up and does not count


def test_detectors_and_networks_are_measured_beside_each_other(tmp_path: Path) -> None:
    detector = toy_onnx(tmp_path / "toy.onnx", metadata={"featherface.ap.easy": "0.5"})
    events: list[Event] = []
    found = benchmark([detector], [detector], options=QUICK, on_event=events.append)
    whole, network = found.measurements
    assert (whole.kind, network.kind) == ("detector", "network")
    assert (whole.name, network.name) == ("toy.onnx", "toy.onnx (2)")
    assert whole.device == network.device == "CPUExecutionProvider"
    assert len(whole.network.seconds) == len(network.network.seconds) == 3
    assert whole.stages is not None
    assert len(whole.stages.end_to_end.seconds) == 3
    assert network.stages is None
    assert whole.ap == {"easy": 0.5}
    assert whole.file_bytes == detector.stat().st_size
    assert found.photo_size == (768, 1024)
    assert found.machine.cpu
    assert found.machine.versions["onnxruntime"]
    assert events == [Started("rounds", 4), *(Advanced(f"round {i}") for i in (1, 2, 3, 4))]


def test_threads_are_set_for_the_time_it_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = cv2.getNumThreads(), torch.get_num_threads()
    during: list[int] = []
    monkeypatch.setattr(job, "describe_machine", lambda: during.append(cv2.getNumThreads()))
    benchmark(
        [toy_onnx(tmp_path / "toy.onnx")],
        options=BenchmarkOptions(size=(64, 96), threads=3, rounds=1, warmup=0, memory=False),
    )
    assert during == [3]
    assert (cv2.getNumThreads(), torch.get_num_threads()) == before


def test_the_drawn_picture_is_always_the_same_and_of_a_photos_size(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        job.write_picture(tmp_path / name)
    data = (tmp_path / "a.jpg").read_bytes()
    assert data == (tmp_path / "b.jpg").read_bytes()
    assert read_image(tmp_path / "a.jpg").shape == (768, 1024, 3)
    assert 100_000 < len(data) < 400_000


@pytest.mark.parametrize(
    ("models", "networks", "changes", "error", "message"),
    [
        ([], [], {}, ConfigError, "name at least one"),
        (["nothing.onnx"], [], {}, CheckpointError, "there is no such file"),
        ([], ["nothing.onnx"], {}, CheckpointError, "there is no such file"),
        (["toy.onnx"], [], {"photo": Path("nothing.jpg")}, ImageError, "does not exist"),
        (["toy.onnx"], [], {"device": "tpu"}, ConfigError, "is no device"),
    ],
)
def test_mistakes_are_found_before_anything_is_measured(
    models: list[str],
    networks: list[str],
    changes: dict[str, Any],
    error: type[Exception],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    toy_onnx(tmp_path / "toy.onnx")
    events: list[Event] = []
    with pytest.raises(error, match=message) as raised:
        benchmark(models, networks, options=BenchmarkOptions(**changes), on_event=events.append)
    assert "\n" not in str(raised.value)
    assert events == []


@pytest.mark.parametrize(
    "changes",
    [
        *({"rounds": 0}, {"warmup": -1}, {"batch": 0}, {"threads": 0}, {"size": (0, 8)}, {"backend": "x"}),
        {"size": (8192, 8193)},
    ],
)
def test_impossible_options_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(changes))):
        BenchmarkOptions(**changes)
