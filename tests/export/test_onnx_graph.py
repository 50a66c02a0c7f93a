"""ONNX files compute what torch computes, at ONNX Runtime's default level of optimization."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import get_args

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from ffcore.detection.shipped import SHIPPED
from ffcore.errors import ConfigError
from ffcore.export.job import export
from ffcore.export.onnx_graph import OPSET, OUTPUT_NAMES, export_onnx
from ffcore.export.options import ExportOptions, Form
from ffcore.export.parity import EXACT
from ffcore.models.blocks.pooling import ZeroPaddedMaxPool
from ffcore.models.featherface import FeatherFace
from ffcore.models.variants import VARIANTS
from ffcore.models.weights import save_network
from tests.models.random_weights import random_network


def run(path: Path, images: torch.Tensor) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {"input": images.numpy()})


def images_of(batch: int, height: int, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(batch + height + width)
    return torch.rand(batch, 3, height, width, generator=generator) * 255 - 110


def largest_differences(network: FeatherFace, found: list[np.ndarray], images: torch.Tensor) -> list[float]:
    with torch.no_grad():
        boxes, logits, landmarks = network(images)
    wanted = (boxes, logits.softmax(-1), landmarks)
    return [float(np.abs(a - b.numpy()).max()) for a, b in zip(found, wanted, strict=True)]


@pytest.fixture(scope="module", params=VARIANTS)
def exported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[FeatherFace, Path]:
    network = random_network(VARIANTS[request.param])
    path = tmp_path_factory.mktemp("onnx") / f"{request.param}.onnx"
    export_onnx(network, path)
    return network, path


@pytest.mark.parametrize(("batch", "height", "width"), [(1, 64, 64), (3, 97, 131), (1, 97, 321), (2, 33, 32)])
def test_one_file_serves_every_batch_and_size(
    exported: tuple[FeatherFace, Path], batch: int, height: int, width: int
) -> None:
    network, path = exported
    images = images_of(batch, height, width)
    boxes, classes, landmarks = largest_differences(network, run(path, images), images)
    assert boxes <= 5e-4
    assert classes <= 2e-5
    assert landmarks <= 5e-4


def test_a_file_stands_alone_and_says_how_to_use_it(exported: tuple[FeatherFace, Path]) -> None:
    network, path = exported
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    facts = {entry.key: entry.value for entry in model.metadata_props}
    assert facts["featherface.mean"] == "104,117,123"
    assert facts["featherface.channel_order"] == "BGR"
    assert [output.name for output in model.graph.output] == list(OUTPUT_NAMES)
    assert str(network.config.out_channel) in facts["featherface.config"]


def test_a_file_keeps_to_the_operators_of_the_standard(exported: tuple[FeatherFace, Path]) -> None:
    model = onnx.load(exported[1])
    assert {(entry.domain, entry.version) for entry in model.opset_import} == {("", OPSET)}
    assert {node.domain for node in model.graph.node} == {""}
    # shuffles, normalisations and the softmax have become numbers
    assert not {"BatchNormalization", "Softmax"} & _operators(model) or "DeformConv" in _operators(model)


def _operators(model: onnx.ModelProto) -> set[str]:
    return {node.op_type for node in model.graph.node}


def test_both_forms_of_a_graph_give_the_same(tmp_path: Path) -> None:
    network = random_network(VARIANTS["v2"])
    images = images_of(1, 97, 1023)
    for form in get_args(Form):
        export_onnx(network, tmp_path / form, form=form)
        assert max(largest_differences(network, run(tmp_path / form, images), images)) <= 1e-4
    plain, fast = (_operators(onnx.load(tmp_path / form)) for form in ("plain", "fast"))
    assert "Softmax" in plain
    assert "Softmax" not in fast


@pytest.mark.parametrize("form", get_args(Form))
@pytest.mark.parametrize(("size", "whole"), [((96, 128), True), ((97, 130), False)])
def test_maps_of_a_fixed_size_grow_by_a_factor_where_it_is_whole(
    form: Form, size: tuple[int, int], whole: bool, tmp_path: Path
) -> None:
    network = random_network(VARIANTS["v2"])
    path = tmp_path / "fixed.onnx"
    export_onnx(network, path, size=size, form=form)
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    weights = {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}
    nodes = [node for node in model.graph.node if node.op_type == "Resize"]
    assert nodes
    for node in nodes:
        assert (len(node.input) == 3) == whole
        if whole:
            assert weights[node.input[1]].size == 0
            assert weights[node.input[2]].tolist() == [1, 1, 2, 2]
    read = {name for node in model.graph.node for name in node.input}
    assert weights.keys() <= read  # no size that nobody asks for any more
    images = images_of(1, *size)
    assert max(largest_differences(network, run(path, images), images)) <= 5e-4


def test_core_ml_takes_a_plain_graph_of_a_fixed_size_as_a_whole(tmp_path: Path) -> None:
    checker = pytest.importorskip("onnxruntime.tools.mobile_helpers.usability_checker")
    path = tmp_path / "fixed.onnx"
    export_onnx(random_network(VARIANTS["v2"]), path, size=(640, 640), form="plain")
    messages: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())

    logger = logging.Logger("checker", logging.INFO)
    logger.addHandler(Kept())
    checker.analyze_model(path, skip_optimize=False, logger=logger)
    assert any("perform well with CoreML MLProgram as is: YES" in message for message in messages), messages


def test_a_fixed_size_is_immune_to_the_fusion_of_padding_and_pooling(tmp_path: Path) -> None:
    network = random_network(VARIANTS["v1"])
    path = tmp_path / "fixed.onnx"
    export_onnx(network, path, size=(96, 128))
    images = images_of(1, 96, 128)
    assert max(largest_differences(network, run(path, images), images)) <= 5e-4


class NaivePool(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.max_pool2d(torch.nn.functional.pad(x, (0, 1, 0, 1)), 3, 2)


# ONNX Runtime 1.32 is the first that leaves the padding of such a pooling alone
MENDED = tuple(int(part) for part in onnxruntime.__version__.split(".")[:2]) >= (1, 32)


@pytest.mark.parametrize(("pool", "survives"), [(ZeroPaddedMaxPool(), True), (NaivePool(), MENDED)])
def test_a_runtime_may_change_the_naive_pooling_and_not_ours(
    pool: torch.nn.Module, survives: bool, tmp_path: Path
) -> None:
    x = -torch.rand(1, 2, 8, 8) - 1  # negative throughout: the zeros of the border must win there
    path = tmp_path / "pool.onnx"
    torch.onnx.export(
        pool.eval(), (x,), dynamo=True, opset_version=20, input_names=["input"], verbose=False
    ).save(str(path))  # type: ignore[union-attr]
    difference = np.abs(run(path, x)[0] - pool(x).numpy()).max()
    assert (difference == 0) == survives


def test_exporting_leaves_the_network_as_it_was(tmp_path: Path) -> None:
    network = random_network(VARIANTS["v1"]).train()
    export_onnx(network, tmp_path / "v1.onnx", size=(64, 64))
    assert network.training
    assert network.context[0].conv3.unit.operator is None


def test_a_size_without_pixels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least 1 pixel"):
        export_onnx(random_network(VARIANTS["v2"]), tmp_path / "v2.onnx", size=(0, 640))


@pytest.mark.parametrize(("operator", "has"), [("native", "DeformConv"), ("gridsample", "GridSample")])
def test_deformable_convolutions_become_the_operator_that_was_asked_for(
    operator: str, has: str, tmp_path: Path
) -> None:
    save_network(random_network(VARIANTS["v1"]), tmp_path / "v1.pth")
    options = ExportOptions(deform=operator, size=(64, 96))  # type: ignore[arg-type]
    done = export(tmp_path / "v1.pth", tmp_path / "v1.onnx", options=options)
    assert all(found.within(EXACT) for found in done.differences)
    found = {node.op_type for node in onnx.load(tmp_path / "v1.onnx").graph.node}
    assert found & {"DeformConv", "GridSample"} == {has}


def test_the_documentation_lists_the_operators_that_another_engine_must_have() -> None:
    model = onnx.load(SHIPPED["v2"].onnx)
    assert {(entry.domain, entry.version) for entry in model.opset_import} == {("", OPSET)}
    operators = sorted({node.op_type for node in model.graph.node})
    page = (Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")
    assert f"`v2`: {', '.join(f'`{name}`' for name in operators)}." in " ".join(page.split())
