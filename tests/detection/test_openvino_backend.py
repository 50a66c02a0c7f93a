"""The same detector in another runtime, where that is installed."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from ffcore.benchmark import BenchmarkOptions, benchmark
from ffcore.detection import FaceDetector
from ffcore.detection.loading import load_backend, open_session
from ffcore.detection.onnxruntime_backend import OnnxRuntimeBackend
from ffcore.detection.shipped import SHIPPED
from ffcore.errors import CheckpointError, ConfigError, MissingDependencyError
from tests.detection.toys import ToyBackend, photo, toy_onnx

INSTALLED = importlib.util.find_spec("openvino") is not None
with_openvino = pytest.mark.skipif(not INSTALLED, reason="OpenVINO is not installed (featherface[openvino])")
GROUP = Path(__file__).parents[2] / "examples" / "photos" / "group.jpg"
PHOTOS = np.stack([photo(64, 96, (8, 16, 8)), photo(64, 96, (32, 32, 16)), photo(64, 96)])


@pytest.mark.skipif(INSTALLED, reason="OpenVINO is installed")
def test_without_it_one_line_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(MissingDependencyError, match=r'pip install "featherface\[openvino\]"') as caught:
        load_backend(toy_onnx(tmp_path / "toy.onnx"), backend="openvino")
    assert "\n" not in str(caught.value)


def test_it_runs_no_torch_weights(tmp_path: Path) -> None:
    (tmp_path / "v2.pth").touch()
    with pytest.raises(ConfigError, match="openvino cannot run this kind of file, torch can"):
        load_backend(tmp_path / "v2.pth", backend="openvino")


@with_openvino
@pytest.mark.parametrize("batch", ["batch", 1, 2, 4])
def test_every_kind_of_batch_gives_what_the_rule_says(batch: int | str, tmp_path: Path) -> None:
    path = toy_onnx(tmp_path / "toy.onnx", batch=batch, metadata={"featherface.licence": "CC0"})
    backend = load_backend(path, backend="openvino", device="cpu", threads=1)
    found, expected = backend.run(PHOTOS), ToyBackend().run(PHOTOS)
    assert np.abs(found.scores - expected.scores).max() < 1e-5
    assert backend.name == "openvino"
    assert backend.device == "cpu"
    assert backend.facts.licence == "CC0"


@with_openvino
def test_results_of_one_run_are_not_changed_by_the_next(tmp_path: Path) -> None:
    backend = load_backend(toy_onnx(tmp_path / "toy.onnx"), backend="openvino")
    first = backend.run(PHOTOS[:1])
    kept = first.scores.copy()
    backend.run(PHOTOS[1:2])
    assert np.array_equal(first.scores, kept)


@with_openvino
def test_the_shipped_weights_find_the_same_faces() -> None:
    found = FaceDetector.load("v2", backend="openvino", device="cpu")(GROUP)
    wanted = FaceDetector(OnnxRuntimeBackend(SHIPPED["v2"].onnx, device="cpu"))(GROUP)
    assert len(found) == len(wanted) == 18
    np.testing.assert_allclose(found.boxes, wanted.boxes, atol=0.05)
    np.testing.assert_allclose(found.scores, wanted.scores, atol=1e-4)


@with_openvino
def test_a_benchmark_runs_everything_in_it(tmp_path: Path) -> None:
    path = toy_onnx(tmp_path / "toy.onnx")
    options = BenchmarkOptions(size=(64, 96), rounds=2, warmup=0, backend="openvino")
    result = benchmark([path], [path], options=options)
    for each in result.measurements:
        assert (each.backend, each.device) == ("openvino", "CPU")
        assert each.network.median_ms > 0
        assert each.memory is not None
    assert result.machine.versions["openvino"] == result.measurements[0].backend_version


@with_openvino
def test_what_it_cannot_do_is_one_line(tmp_path: Path) -> None:
    path = toy_onnx(tmp_path / "toy.onnx")
    with pytest.raises(MissingDependencyError, match="no device 'npu9'"):
        open_session(path, "openvino", device="npu9")
    with pytest.raises(ConfigError, match="at least 1"):
        open_session(path, "openvino", threads=0)
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(path.read_bytes()[:200])
    with pytest.raises(CheckpointError, match="OpenVINO cannot run it") as caught:
        open_session(damaged, "openvino")
    assert "\n" not in str(caught.value)
