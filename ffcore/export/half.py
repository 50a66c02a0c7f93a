"""Graphs in float16, with the operators that cannot bear it left in float32."""

from __future__ import annotations

from pathlib import Path

import onnx

FLOAT32_OPERATORS = {
    "DeformConv": "positions: float16 cannot tell neighbouring cells of a large map apart",
    "GridSample": "positions, as above",
    "ReduceMean": "a sum over a whole map exceeds 65504, the largest number of float16",
    "Softmax": "probabilities near 1 would fall together",
}
"""What stays in float32, and why."""


def write_half(path: Path, out: Path, *, half_io: bool = False) -> None:
    """Writes a graph with weights and activations in float16.

    Args:
        path: The graph in float32.
        out: The file to write.
        half_io: Whether input and outputs are float16 too.
    """
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

    model = onnx.load(path)
    converted = convert_float_to_float16(
        model,
        keep_io_types=not half_io,
        op_block_list=[*DEFAULT_OP_BLOCK_LIST, *FLOAT32_OPERATORS],
        node_block_list=sorted(_position_nodes(model.graph)),
    )
    onnx.checker.check_model(converted, full_check=True)
    onnx.save(converted, out)


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
