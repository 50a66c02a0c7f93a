"""Graphs in float16, with the operators that cannot bear it left in float32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.checker
import onnx.numpy_helper
import onnx.shape_inference

from ffcore.errors import ExportError

FLOAT32_OPERATORS = {
    "DeformConv": "positions: float16 cannot tell neighbouring cells of a large map apart",
    "GridSample": "positions, as above",
    "GlobalAveragePool": "a sum over a whole map exceeds 65504, the largest number of float16",
    "ReduceMean": "the same",
    "Softmax": "probabilities near 1 would fall together",
}
"""What stays in float32, and why."""


FLOAT, HALF = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16


def write_half(path: Path, out: Path, *, half_io: bool = False) -> None:
    """Writes a graph with weights and activations in float16.

    Args:
        path: The graph in float32.
        out: The file to write; metadata is kept.
        half_io: Whether input and outputs are float16 too.

    Raises:
        ExportError: A weight is too large for float16.
    """
    model = onnx.shape_inference.infer_shapes(onnx.load(path))
    _Conversion(model.graph, outside=HALF if half_io else FLOAT).run()
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, out)


class _Conversion:
    """One pass over the nodes, in their order, that gives each the type it computes in.

    Args:
        graph: Changed in place; its types are inferred.
        outside: The type of input and outputs.
    """

    def __init__(self, graph: onnx.GraphProto, *, outside: int) -> None:
        self._graph = graph
        self._outside = outside
        self._weights = {each.name: each for each in graph.initializer}
        values = (*graph.value_info, *graph.input, *graph.output)
        self._floats = {value.name for value in values if value.type.tensor_type.elem_type == FLOAT}
        self._floats |= {name for name, each in self._weights.items() if each.data_type == FLOAT}
        # the type in which each tensor was made
        self._made = {value.name: outside for value in graph.input} | dict.fromkeys(self._weights, FLOAT)
        self._nodes: list[onnx.NodeProto] = []
        self._casts: dict[tuple[str, int], str] = {}

    def run(self) -> None:
        """Converts the graph."""
        positions = _position_nodes(self._graph)
        for node in self._graph.node:
            from_floats = any(name in self._floats for name in node.input)
            held = node.op_type in FLOAT32_OPERATORS or node.name in positions or not from_floats
            self._add(node, FLOAT if held else HALF)
        for value in self._graph.output:
            self._hand_out(value.name)
        for value in (*self._graph.input, *self._graph.output):
            if value.name in self._floats:
                value.type.tensor_type.elem_type = self._outside
        used = {name for node in self._nodes for name in node.input}
        kept = [each for each in self._graph.initializer if each.name in used]
        for field, content in (("node", self._nodes), ("initializer", kept), ("value_info", [])):
            del getattr(self._graph, field)[:]
            getattr(self._graph, field).extend(content)

    def _add(self, node: onnx.NodeProto, kind: int) -> None:
        """A node that computes in one type, with whatever its inputs need before."""
        for i, name in enumerate(node.input):
            # sizes and regions of a Resize are float32 by definition
            if name in self._floats and (node.op_type != "Resize" or i == 0):
                node.input[i] = self._as(name, kind)
        self._nodes.append(node)
        self._made |= dict.fromkeys(node.output, kind)

    def _as(self, name: str, kind: int) -> str:
        """The name under which a tensor is to be had in a type."""
        if self._made[name] == kind:
            return name
        if (name, kind) not in self._casts:
            other = f"{name}_{'half' if kind == HALF else 'float'}"
            self._casts[name, kind] = other
            if name in self._weights:
                self._graph.initializer.append(_halved(self._weights[name], other))
            else:
                self._nodes.append(onnx.helper.make_node("Cast", [name], [other], name=other, to=kind))
        return self._casts[name, kind]

    def _hand_out(self, name: str) -> None:
        """Gives an output of the graph its type."""
        if name not in self._floats or self._made[name] == self._outside:
            return
        inside = f"{name}_inside"
        for node in self._nodes:
            for names in (node.input, node.output):
                for i, each in enumerate(names):
                    if each == name:
                        names[i] = inside
        self._nodes.append(onnx.helper.make_node("Cast", [inside], [name], name=inside, to=self._outside))


def _halved(weights: onnx.TensorProto, name: str) -> onnx.TensorProto:
    with np.errstate(over="ignore"):
        values = onnx.numpy_helper.to_array(weights).astype(np.float16)
    if not np.isfinite(values).all():
        raise ExportError(f"{weights.name}: holds numbers above 65504, too large for float16")
    return onnx.numpy_helper.from_array(values, name)


def _position_nodes(graph: onnx.GraphProto) -> set[str]:
    """Names of the nodes that turn offsets into the positions of a GridSample."""
    makers = {output: node for node in graph.node for output in node.output}
    waiting = [node.input[1] for node in graph.node if node.op_type == "GridSample"]
    found: set[str] = set()
    while waiting:
        node = makers.get(waiting.pop())
        if node is None or node.op_type == "Conv" or node.name in found:
            continue
        found.add(node.name)
        waiting += node.input
    return found
