"""A network as one ONNX file of any batch, height and width."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from ffcore._version import __version__
from ffcore.detection.facts import PREFIX, DetectorFacts
from ffcore.errors import ConfigError, ExportError, one_line
from ffcore.export.deform_conv import deform_conv_operator, onnx_deform_conv2d
from ffcore.export.fast.network import FastNetwork
from ffcore.export.fast.operators import OnnxOperators
from ffcore.export.options import Form
from ffcore.files import replacing
from ffcore.models.blocks.deform_conv import DeformConvOperator
from ffcore.models.featherface import FeatherFace
from ffcore.models.variants import variant_name

OPSET = 20
"""DeformConv needs 19."""

INPUT_NAME = "input"
OUTPUT_NAMES = ("bbox_regressions", "classifications", "landmarks")


class WithProbabilities(nn.Module):
    """The network as its published files have it: probabilities in place of logits.

    Args:
        network: Any.
    """

    def __init__(self, network: FeatherFace) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Runs the network: boxes, probabilities, landmarks."""
        boxes, logits, landmarks = self.network(images)
        return boxes, logits.softmax(dim=-1), landmarks


def export_onnx(
    network: FeatherFace,
    path: str | Path,
    *,
    size: tuple[int, int] | None = None,
    facts: Mapping[str, str] | None = None,
    form: Form = "fast",
    deform_conv: DeformConvOperator = onnx_deform_conv2d,
) -> None:
    """Writes a network as ONNX.

    The input ``input`` is (B, 3, H, W) float32, BGR minus the mean; the outputs are
    ``bbox_regressions`` (B, A, 4), ``classifications`` (B, A, 2) as probabilities and ``landmarks``
    (B, A, 10). Preprocessing, anchors and variances are written into the metadata of the file.

    Args:
        network: In any mode; exported in evaluation mode and left in the mode it had.
        path: The file; whole or not at all, never with a second file for the weights.
        size: Height and width to fix together with a batch of 1; None leaves all three open.
        facts: More metadata, all of it text.
        form: "fast" rearranges the network first (`ffcore.export.fast`); "plain" writes it as it is built.
        deform_conv: What deformable convolutions become.

    Raises:
        ConfigError: The size is not positive.
        ExportError: The exporter failed.
        InputError: The file cannot be written.
    """
    example, dynamic = example_input(size)
    training = network.training
    try:
        network.eval()
        # the rearranged units are made for DeformConv
        native = deform_conv is onnx_deform_conv2d
        module = (
            FastNetwork(network, OnnxOperators(), deformable=native)
            if form == "fast"
            else WithProbabilities(network)
        )
        with deform_conv_operator(module, deform_conv), torch.no_grad(), quiet():
            program = torch.onnx.export(
                module.eval(),
                (example,),
                dynamo=True,
                opset_version=OPSET,
                input_names=[INPUT_NAME],
                output_names=list(OUTPUT_NAMES),
                dynamic_shapes=dynamic,
                external_data=False,
                verbose=False,
            )
    except Exception as error:  # the exporter has no family of errors of its own
        raise ExportError(f"onnx: the exporter failed ({one_line(error)}); nothing was written") from error
    finally:
        network.train(training)
    if program is None:
        raise ExportError("onnx: the exporter gave no graph; nothing was written")
    _forget_origins(program.model.graph)
    program.model.metadata_props.update(metadata(network))
    program.model.metadata_props.update({f"{PREFIX}{key}": value for key, value in (facts or {}).items()})
    model = program.model_proto
    if size is not None:
        _scale_resizes(model)
    _forget_shapes(model.graph)
    with replacing(path) as part:
        part.write_bytes(model.SerializeToString())


def example_input(size: tuple[int, int] | None) -> tuple[Tensor, dict[str, dict[int, Any]] | None]:
    """The images that a network is traced with, and which of their sides stay open.

    Args:
        size: Height and width to fix together with a batch of 1; None leaves all three open.

    Raises:
        ConfigError: The size is not positive.
    """
    if size is None:
        # no two sides alike and none of them 1: an exporter would take that for a rule
        return torch.zeros(2, 3, 128, 160), {"images": dict.fromkeys((0, 2, 3), torch.export.Dim.DYNAMIC)}
    if min(size) < 1:
        raise ConfigError(f"size {size[0]}×{size[1]}: height and width of at least 1 pixel are needed")
    return torch.zeros(1, 3, *size), None


def _forget_origins(graph: Any) -> None:
    """Drops what the exporter notes of each node and value: a third of the file, and paths of the machine."""
    for node in graph.all_nodes():
        node.metadata_props.clear()
        node.doc_string = None
        for value in node.outputs:
            value.metadata_props.clear()
    for value in (*graph.inputs, *graph.initializers.values()):
        value.metadata_props.clear()
    graph.metadata_props.clear()


def _forget_shapes(graph: Any) -> None:
    """Drops the noted shapes of all but feature maps; theirs are what tells a runtime that two are alike.

    A side is noted as a formula, which is as good as any name and much longer.
    """
    weights = {tensor.name for tensor in graph.initializer}
    maps = [
        value
        for value in graph.value_info
        if len(value.type.tensor_type.shape.dim) == 4 and value.name not in weights
    ]
    names: dict[str, str] = {}
    for side in (side for value in maps for side in value.type.tensor_type.shape.dim if side.dim_param):
        side.dim_param = names.setdefault(side.dim_param, f"side{len(names)}")
    del graph.value_info[:]
    graph.value_info.extend(maps)


def _scale_resizes(model: onnx.ModelProto) -> None:
    """Gives nodes that resize to a known size the scales in its place, where these are whole numbers.

    Nothing else is computed. But to some engines an input that a node leaves out is one of unknown shape;
    with scales there is none.
    """
    graph = model.graph
    shapes = {
        value.name: [side.dim_value for side in value.type.tensor_type.shape.dim]
        for value in onnx.shape_inference.infer_shapes(model).graph.value_info
    }
    stored = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type != "Resize" or len(node.input) < 4 or node.input[3] not in stored:
            continue
        scales, rest = np.divmod(onnx.numpy_helper.to_array(stored[node.input[3]]), shapes[node.input[0]])
        if rest.any():
            continue
        inputs = {"roi": np.zeros(0, np.float32), "scales": scales.astype(np.float32)}
        for name, value in inputs.items():
            graph.initializer.append(onnx.numpy_helper.from_array(value, f"{node.name}.{name}"))
        node.input[:] = [node.input[0], *(f"{node.name}.{name}" for name in inputs)]
    read = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def metadata(network: FeatherFace) -> dict[str, str]:
    """What a reader must know to use the graph of a network, as the entries of its file."""
    facts = DetectorFacts(network=variant_name(network.config), version=__version__)
    return {**facts.to_metadata(), f"{PREFIX}config": json.dumps(network.config.to_dict())}


@contextmanager
def quiet() -> Iterator[None]:
    """The exporter reports its progress and its own internals' deprecations; none of it is for users."""
    names = ("torch.onnx", "onnxscript", "onnx_ir", "torch.export")
    levels = {name: logging.getLogger(name).level for name in names}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for name in names:
                logging.getLogger(name).setLevel(logging.ERROR)
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
