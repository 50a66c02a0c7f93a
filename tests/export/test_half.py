"""float16 graphs find the faces of float32 ones, and keep in float32 what cannot bear it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import ffcore.export.job as job
from ffcore.detection import FaceDetector
from ffcore.detection.shipped import SHIPPED
from ffcore.errors import ExportError, InputError
from ffcore.export.face_agreement import HALF
from ffcore.export.half import FLOAT32_OPERATORS, write_half
from ffcore.export.options import HalfOptions
from tests.detection.toys import toy_onnx

PHOTOS = Path(__file__).parents[2] / "examples" / "photos"
FACES = {"astronaut.jpg": 1, "cat.jpg": 0, "group.jpg": 18, "grace_hopper.jpg": 1}


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    shutil.copy(SHIPPED["v2"].onnx, tmp_path / "v2.onnx")
    return tmp_path / "v2.onnx"


@pytest.mark.parametrize("half_io", [False, True])
def test_the_shipped_weights_find_the_same_faces_in_float16(half_io: bool, graph: Path) -> None:
    before = graph.stat().st_size
    found = job._halve(graph, HalfOptions(photos=PHOTOS, half_io=half_io), size=None, name="v2.onnx")
    assert found.within(HALF)
    # above 0.5: 16 of the group of 18, shrunk to 640 pixels (the others have 0.47), and two portraits
    assert (found.photos, found.faces, found.lost) == (4, 18, 0)
    assert graph.stat().st_size < 0.7 * before
    model = onnx.load(graph)
    kinds = {value.type.tensor_type.elem_type for value in (*model.graph.input, *model.graph.output)}
    assert kinds == {TensorProto.FLOAT16 if half_io else TensorProto.FLOAT}
    entries = {entry.key: entry.value for entry in model.metadata_props}
    assert entries["featherface.precision"] == "float16"
    assert entries["featherface.network"] == "v2"
    detector = FaceDetector.load(graph, device="cpu")
    assert {name: len(detector(PHOTOS / name)) for name in FACES} == FACES


def test_weights_become_float16_and_named_operators_stay(graph: Path, tmp_path: Path) -> None:
    write_half(graph, tmp_path / "half.onnx")
    model = onnx.shape_inference.infer_shapes(onnx.load(tmp_path / "half.onnx"))
    types = {value.name: value.type.tensor_type.elem_type for value in model.graph.value_info}
    weights = [each for each in model.graph.initializer if len(each.dims) == 4]
    assert {each.data_type for each in weights} == {TensorProto.FLOAT16}
    kept = [node for node in model.graph.node if node.op_type in FLOAT32_OPERATORS]
    assert kept
    assert all(types.get(node.input[0], TensorProto.FLOAT) == TensorProto.FLOAT for node in kept)


def test_positions_of_a_grid_sample_stay_in_float32(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [
            helper.make_node("Mul", ["offset", "scale"], ["scaled"], name="scaling"),
            helper.make_node("Add", ["scaled", "scale"], ["grid"], name="shifting"),
            helper.make_node("Mul", ["x", "scale"], ["louder"], name="signal"),
            helper.make_node("GridSample", ["louder", "grid"], ["y"], name="sampling"),
        ],
        "sampled",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 8, 8]),
            helper.make_tensor_value_info("offset", TensorProto.FLOAT, [1, 8, 8, 2]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2, 8, 8])],
        [helper.make_tensor("scale", TensorProto.FLOAT, [1], [0.3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.save(model, tmp_path / "whole.onnx")
    write_half(tmp_path / "whole.onnx", tmp_path / "half.onnx")
    nodes = {node.name: node for node in onnx.load(tmp_path / "half.onnx").graph.node}
    made = {output: node for node in nodes.values() for output in node.output}
    assert made[nodes["sampling"].input[1]].name == "shifting"  # no cast between
    assert "Cast" in made[nodes["signal"].input[0]].op_type


def test_a_graph_that_moves_faces_is_not_kept(graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = graph.read_bytes()

    def careless(path: Path, out: Path, *, half_io: bool = False) -> None:
        model = onnx.load(path)
        for weights in model.graph.initializer:
            if len(weights.dims) == 4:
                values = onnx.numpy_helper.to_array(weights) * np.float32(1.02)
                weights.CopyFrom(onnx.numpy_helper.from_array(values, weights.name))
        onnx.save(model, out)

    monkeypatch.setattr(job, "write_half", careless)
    with pytest.raises(ExportError, match=r"float16 moves scores by .*nothing was written") as caught:
        job._halve(graph, HalfOptions(photos=PHOTOS), size=None, name="v2.onnx")
    assert "\n" not in str(caught.value)
    assert graph.read_bytes() == before
    assert list(graph.parent.iterdir()) == [graph]


def test_photos_without_a_face_compare_nothing_and_are_refused(
    graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cats").mkdir()
    shutil.copy(PHOTOS / "cat.jpg", tmp_path / "cats")
    before = graph.read_bytes()
    monkeypatch.setattr(job, "write_half", lambda *_, **__: pytest.fail("it was written"))
    with pytest.raises(InputError, match="finds no face on the photos; give photos with faces"):
        job._halve(graph, HalfOptions(photos=tmp_path / "cats"), size=None, name="v2.onnx")
    assert graph.read_bytes() == before


def test_photos_that_are_not_there_are_named(tmp_path: Path) -> None:
    path = toy_onnx(tmp_path / "toy.onnx")
    with pytest.raises(InputError, match="no such folder"):
        job._halve(path, HalfOptions(photos=tmp_path / "none"), size=None, name="toy.onnx")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no photos"):
        job._halve(path, HalfOptions(photos=tmp_path / "empty"), size=None, name="toy.onnx")
