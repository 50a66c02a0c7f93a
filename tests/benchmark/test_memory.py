from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from ffcore.benchmark import BenchmarkOptions
from ffcore.benchmark.memory import measure_memory
from ffcore.benchmark.opening import open_candidate
from ffcore.errors import ModelError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what is expected here is what Linux counts")

OPTIONS = BenchmarkOptions(size=(8, 8))
MEGABYTES = 60


def holding(path: Path, numbers: int) -> Path:
    """A network with so many weights, all of which it uses."""
    weights = numpy_helper.from_array(np.ones((1, 1, 1, numbers), np.float32), "weights")
    axes = helper.make_tensor("axes", TensorProto.INT64, [3], [1, 2, 3])
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["in", "axes"], ["mean"], keepdims=1),
            helper.make_node("Mul", ["mean", "weights"], ["out"]),
        ],
        "holding",
        [helper.make_tensor_value_info("in", TensorProto.FLOAT, [1, 3, "h", "w"])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 1, 1, numbers])],
        [weights, axes],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.save(model, path)
    return path


def test_a_network_grows_by_its_weights_and_its_output_whatever_lies_in_this_process(tmp_path: Path) -> None:
    small = holding(tmp_path / "small.onnx", 1)
    large = holding(tmp_path / "large.onnx", MEGABYTES * 250_000)
    here = np.ones(50_000_000)  # 400 MB, which a new process must not be blamed for
    found = [measure_memory(open_candidate(path, "network", OPTIONS), OPTIONS) for path in (small, large)]
    assert here.sum() == len(here)
    first, second = found
    assert first is not None
    assert second is not None
    assert second.growth - first.growth > 1.9 * MEGABYTES * 1e6
    assert first.growth < 50e6
    assert first.process < 300e6
    assert second.process >= second.growth + second.engine


def test_a_process_that_fails_is_an_error_of_one_line_that_names_the_file(tmp_path: Path) -> None:
    candidate = open_candidate(holding(tmp_path / "gone.onnx", 1), "network", OPTIONS)
    candidate.path.unlink()
    with pytest.raises(
        ModelError, match=r"gone\.onnx: the process for its memory failed: .*no such file"
    ) as e:
        measure_memory(candidate, OPTIONS)
    assert "\n" not in str(e.value)
