from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from ffcore.benchmark import BenchmarkOptions
from ffcore.benchmark.network import NetworkCandidate, input_layout
from ffcore.errors import CheckpointError, ConfigError
from ffcore.images import write_image

OPEN = BenchmarkOptions(size=(64, 96), batch=2)


def echo(path: Path, shape: list[int | str], kind: int = TensorProto.FLOAT, inputs: int = 1) -> Path:
    """A network that gives back what it gets."""
    names = [f"in{i}" for i in range(inputs)]
    graph = helper.make_graph(
        [helper.make_node("Identity", ["in0"], ["out"])],
        "echo",
        [helper.make_tensor_value_info(name, kind, shape) for name in names],
        [helper.make_tensor_value_info("out", kind, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(
    ("shape", "filled", "axis", "batch", "size"),
    [
        ([1, 3, 640, 640], (1, 3, 640, 640), 1, 1, (640, 640)),  # all fixed: the options change nothing
        ([1, 3, 240, 320], (1, 3, 240, 320), 1, 1, (240, 320)),
        (["batch", 3, "height", "width"], (2, 3, 64, 96), 1, 2, (64, 96)),
        ([1, 3, "?", "?"], (1, 3, 64, 96), 1, 1, (64, 96)),
        ([None, None, None, None], (2, 3, 64, 96), 1, 2, (64, 96)),
        ([-1, 3, -1, -1], (2, 3, 64, 96), 1, 2, (64, 96)),
        (["batch", 128, 128, 3], (2, 128, 128, 3), 3, 2, (128, 128)),
        (["n", "h", "w", 3], (2, 64, 96, 3), 3, 2, (64, 96)),
        (["n", 1, "h", "w"], (2, 1, 64, 96), 1, 2, (64, 96)),
        (["h", "w", 3], (64, 96, 3), 2, 1, (64, 96)),  # one image, as our end-to-end graphs take it
        ([3, "h", "w"], (3, 64, 96), 0, 1, (64, 96)),
    ],
)
def test_open_dimensions_are_filled_and_fixed_ones_stay(
    shape: list[int | str | None], filled: tuple[int, ...], axis: int, batch: int, size: tuple[int, int]
) -> None:
    found = input_layout(shape, batch=2, size=(64, 96))
    assert found is not None
    assert (found.shape, found.channels_axis, found.batch, found.size) == (filled, axis, batch, size)


@pytest.mark.parametrize("shape", [[], [1], [1, 512], [1, 7, 64, 64], [1, 3, 8, 64, 64]])
def test_an_input_of_another_shape_is_not_for_images(shape: list[int | str | None]) -> None:
    assert input_layout(shape, batch=1, size=(64, 64)) is None


@pytest.mark.parametrize(
    ("shape", "kind", "dtype"),
    [
        (["b", 3, "h", "w"], TensorProto.FLOAT, np.float32),
        (["b", "h", "w", 3], TensorProto.FLOAT16, np.float16),
        (["h", "w", 3], TensorProto.UINT8, np.uint8),
    ],
)
def test_the_network_gets_the_photo_in_its_own_layout_and_type(
    shape: list[int | str], kind: int, dtype: type, tmp_path: Path
) -> None:
    image = np.zeros((64, 96, 3), np.uint8)
    image[:, :, 0] = 255  # blue
    write_image(tmp_path / "blue.png", image)
    candidate = NetworkCandidate(echo(tmp_path / "echo.onnx", shape, kind), OPEN)
    given: list[np.ndarray] = []
    session = candidate._session

    class Spy:
        def run(self, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
            given.append(feeds["in0"])
            return session.run(feeds)

    candidate._session = Spy()
    sample = candidate.round(tmp_path / "blue.png")
    assert sample.network > 0
    assert sample.around is None
    pixels = given[0]
    assert pixels.dtype == dtype
    assert pixels.shape == tuple({"b": 2, "h": 64, "w": 96}.get(length, length) for length in shape)
    low, high = (0, 255) if dtype is np.uint8 else (-127.5 / 128, 127.5 / 128)
    blue, rest = (pixels[:, :1], pixels[:, 1:]) if shape[1] == 3 else (pixels[..., :1], pixels[..., 1:])
    assert np.allclose(blue.astype(float), high, atol=1e-3)
    assert np.allclose(rest.astype(float), low, atol=1e-3)


@pytest.mark.parametrize(
    ("shape", "kind", "inputs", "message"),
    [
        ([1, 512], TensorProto.FLOAT, 1, "is not for images"),
        ([1, 3, 64, 64], TensorProto.INT64, 1, "is int64"),
        ([1, 3, 64, 64], TensorProto.FLOAT, 2, "has 2 inputs"),
    ],
)
def test_files_that_cannot_be_timed_are_named(
    shape: list[int | str], kind: int, inputs: int, message: str, tmp_path: Path
) -> None:
    path = echo(tmp_path / "odd.onnx", shape, kind, inputs)
    with pytest.raises(CheckpointError, match=message) as raised:
        NetworkCandidate(path, OPEN)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_network_that_fails_at_this_size_is_an_error_of_one_line(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Reshape", ["in", "shape"], ["out"])],
        "squares of 64 only",
        [helper.make_tensor_value_info("in", TensorProto.FLOAT, [1, 3, "h", "w"])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [3, 64, 64])],
        [helper.make_tensor("shape", TensorProto.INT64, [3], [3, 64, 64])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "fixed.onnx")
    NetworkCandidate(tmp_path / "fixed.onnx", BenchmarkOptions(size=(64, 64)))
    with pytest.raises(CheckpointError, match="does not run on an input of 1×3×64×96, try another size") as e:
        NetworkCandidate(tmp_path / "fixed.onnx", OPEN)
    assert "\n" not in str(e.value)


def test_torch_runs_no_onnx_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="torch cannot run an ONNX file"):
        NetworkCandidate(echo(tmp_path / "a.onnx", [1, 3, 8, 8]), BenchmarkOptions(backend="torch"))
