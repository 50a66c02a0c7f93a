from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from ffcore.benchmark import BenchmarkOptions
from ffcore.benchmark.candidate import Sample, stated_aps
from ffcore.benchmark.detector import DetectorCandidate
from ffcore.benchmark.opening import open_candidate
from ffcore.benchmark.stopwatch import NetworkStopwatch
from ffcore.detection import FaceDetector
from ffcore.detection.loading import load_backend
from ffcore.errors import ConfigError
from ffcore.images import write_image
from ffcore.models.variants import VARIANTS
from ffcore.models.weights import save_network
from tests.detection.toys import photo, toy_onnx
from tests.models.random_weights import random_network

SMALL = BenchmarkOptions(size=(64, 96))


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """Two bright squares, which the toy takes for faces."""
    write_image(tmp_path / "squares.png", photo(64, 96, (8, 16, 8), (64, 32, 16)))
    return tmp_path / "squares.png"


@pytest.fixture
def torch_weights(tmp_path: Path) -> Path:
    facts = {"ap.easy": "0.9", "ap.protocol": "vga"}
    save_network(random_network(VARIANTS["v2"]), tmp_path / "v2.safetensors", facts=facts)
    return tmp_path / "v2.safetensors"


def test_every_part_is_measured_and_the_faces_are_those_of_the_detector(
    picture: Path, tmp_path: Path
) -> None:
    candidate = DetectorCandidate(toy_onnx(tmp_path / "toy.onnx"), SMALL)
    sample = candidate.round(picture)
    assert sample.around is not None
    parts = (sample.network, sample.around.read, sample.around.preprocess, sample.around.postprocess)
    assert min(parts) > 0
    assert sample.around.end_to_end > 0
    assert sample.around.faces == len(FaceDetector.load(candidate.path, size=(64, 96))(picture)) > 0


@pytest.mark.parametrize("kind", ["onnx", "torch"])
def test_the_stopwatch_sees_the_network_inside_the_run(
    kind: str, tmp_path: Path, torch_weights: Path
) -> None:
    path = torch_weights if kind == "torch" else toy_onnx(tmp_path / "toy.onnx")
    backend = load_backend(path, device="cpu")
    batch = np.zeros((1, 64, 96, 3), np.uint8)
    before = backend.run(batch)
    watch = NetworkStopwatch()
    backend.around_network = watch.around_network  # type: ignore[attr-defined]
    start = time.perf_counter()
    after = backend.run(batch)
    end = time.perf_counter()
    assert start < watch.began < watch.ended < end
    assert watch.seconds == watch.ended - watch.began
    assert np.array_equal(before.scores, after.scores)


def test_a_batch_runs_as_one(picture: Path, tmp_path: Path) -> None:
    path = toy_onnx(tmp_path / "toy.onnx", batch=3)
    candidate = DetectorCandidate(path, BenchmarkOptions(size=(64, 96), batch=3))
    assert candidate.batch == 3
    assert isinstance(candidate.round(picture), Sample)


@pytest.mark.parametrize(
    ("fixed", "options", "message"),
    [
        ({"height": 64, "width": 64}, SMALL, "only takes inputs of 64x64; give that as size"),
        ({"batch": 2}, SMALL, "only takes batches of 2; give that as batch"),
        ({}, BenchmarkOptions(size=(64, 96), backend="torch"), "torch cannot run this kind of file"),
    ],
)
def test_what_a_file_does_not_do_is_an_error_that_names_it(
    fixed: dict[str, int], options: BenchmarkOptions, message: str, tmp_path: Path
) -> None:
    path = toy_onnx(tmp_path / "toy.onnx", **fixed)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=message) as raised:
        open_candidate(path, "detector", options)
    assert str(path) in str(raised.value)


def test_the_aps_of_a_checkpoint_and_of_a_graph_are_read_alike(tmp_path: Path, torch_weights: Path) -> None:
    metadata = {"featherface.ap.easy": "0.9", "featherface.ap.protocol": "vga"}
    graph = toy_onnx(tmp_path / "toy.onnx", metadata=metadata)
    for path in (torch_weights, graph):
        assert stated_aps(DetectorCandidate(path, SMALL).facts) == ({"easy": 0.9}, "vga")


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ({}, {}),
        ({"featherface.ap.easy": "0.91", "featherface.ap.hard": "0.7"}, {"easy": 0.91, "hard": 0.7}),
        ({"ap.easy": "0.91"}, {}),  # of another tool
        ({"featherface.ap.photos": "200 of WIDER FACE val"}, {}),
        ({"featherface.ap.protocol": "1600"}, {}),  # the name of a protocol is no AP
        ({"featherface.ap.easy": "nan", "featherface.ap.hard": "91"}, {}),
    ],
)
def test_only_numbers_from_0_to_1_are_aps(entries: dict[str, str], expected: dict[str, float]) -> None:
    assert stated_aps(entries)[0] == expected
