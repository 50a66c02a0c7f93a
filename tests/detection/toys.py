"""A detector whose answers are known: every bright cell of a level is a face.

Each level averages its cells; the first anchor of a cell whose mean is above 200 is a face, the second
never is, and all offsets are zero, so the box is the anchor.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ffcore.detection import DetectorFacts, RawOutputs

STRIDES = (8, 16, 32)
NAMES = ("bbox_regressions", "classifications", "landmarks")


class ToyBackend:
    """The rule in NumPy, counting what it is asked."""

    name = "toy"
    device = "cpu"

    def __init__(
        self, *, input_size: tuple[int, int] | None = None, facts: DetectorFacts | None = None
    ) -> None:
        self.input_size = input_size
        self.facts = facts or DetectorFacts()
        self.batches: list[tuple[int, int, int]] = []

    def run(self, batch: np.ndarray) -> RawOutputs:
        b, height, width, _ = batch.shape
        self.batches.append((b, height, width))
        means = [
            batch[..., 0].reshape(b, height // s, s, width // s, s).mean((2, 4)).reshape(b, -1)
            for s in STRIDES
        ]
        first = 1 / (1 + np.exp(np.clip(200 - np.concatenate(means, 1), -50, 50)))
        scores = np.stack((first, np.zeros_like(first)), -1).reshape(b, -1).astype(np.float32)
        a = scores.shape[1]
        return RawOutputs(
            boxes=np.zeros((b, a, 4), np.float32), scores=scores, landmarks=np.zeros((b, a, 10), np.float32)
        )


def toy_onnx(
    path: Path,
    *,
    batch: int | str = "batch",
    height: int | str = "height",
    width: int | str = "width",
    names: tuple[str, str, str] = NAMES,
    metadata: dict[str, str] | None = None,
    softmax: bool = True,
    zero_border: bool = False,
    strides: tuple[int, ...] = STRIDES,
    outputs: int = 3,
    last_dimensions: bool = True,
    channel: int = 0,
) -> Path:
    """Write the rule as an ONNX file.

    Args:
        path: Where to.
        batch: Fixed number, or a name for a free one; likewise `height` and `width`.
        names: Of the outputs for boxes, classes, landmarks.
        metadata: Entries of the file.
        softmax: Give probabilities rather than logits.
        zero_border: Box offsets are -1 inside and the maximum with a border of zeros, hence 0, at the edge.
        strides: One level each.
        outputs: How many of the three outputs the file has.
        last_dimensions: Whether the file states the outputs' last dimension.
        channel: The plane of the input that is looked at.
    """
    nodes: list[Any] = []
    weights: list[Any] = []

    def constant(name: str, value: np.ndarray) -> str:
        weights.append(numpy_helper.from_array(value, name))
        return name

    parts: dict[str, list[str]] = {name: [] for name in names}
    for s in strides:
        mean = np.zeros((1, 3, s, s), np.float32)
        mean[0, channel] = 1 / s**2
        nodes.append(
            helper.make_node("Conv", ["input", constant(f"mean{s}", mean)], [f"cell{s}"], strides=[s, s])
        )
        # Cells come with the mean of 104 subtracted. Channels: background, face of the first anchor, then
        # of the second.
        spread = np.array([0, 1, 0, 0], np.float32).reshape(4, 1, 1, 1)
        shift = np.array([0, 104 - 200, 0, -50], np.float32)
        still = [np.zeros((count, 1, 1, 1), np.float32) for count in (8, 20)]
        value = np.full(8, -1.0 if zero_border else 0.0, np.float32)
        branches = [(names[0], still[0], value, 4), (names[1], spread, shift, 2)]
        branches.append((names[2], still[1], np.zeros(20, np.float32), 10))
        for index, (name, weight, bias, last) in enumerate(branches):
            tag = f"{index}_{s}"
            nodes.append(
                helper.make_node(
                    "Conv",
                    [f"cell{s}", constant(f"w{tag}", weight), constant(f"b{tag}", bias)],
                    [f"map{tag}"],
                )
            )
            made = f"map{tag}"
            if index == 0 and zero_border:
                amounts = constant(f"pads{s}", np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64))
                zero = constant(f"zero{s}", np.array(0, np.float32))
                nodes.append(helper.make_node("Pad", [made, amounts, zero], [f"padded{s}"]))
                nodes.append(helper.make_node("MaxPool", [f"padded{s}"], [f"pool{s}"], kernel_shape=[3, 3]))
                made = f"pool{s}"
            nodes.append(helper.make_node("Transpose", [made], [f"t{tag}"], perm=[0, 2, 3, 1]))
            shape = constant(f"shape{tag}", np.array([0, -1, last], np.int64))
            nodes.append(helper.make_node("Reshape", [f"t{tag}", shape], [f"r{tag}"]))
            parts[name].append(f"r{tag}")
    made_outputs = []
    for name, last in zip(names, (4, 2, 10), strict=True):
        joined = f"{name}_joined" if last == 2 and softmax else name
        nodes.append(helper.make_node("Concat", parts[name], [joined], axis=1))
        if joined != name:
            nodes.append(helper.make_node("Softmax", [joined], [name], axis=-1))
        dimension: int | str = last if last_dimensions else f"{name}_last"
        made_outputs.append(
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, "rows", dimension])
        )
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [batch, 3, height, width])],
        made_outputs[:outputs],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    for key, entry in (metadata or {}).items():
        model.metadata_props.add(key=key, value=entry)
    onnx.save(model, path)
    return path


def photo(height: int, width: int, *cells: tuple[int, int, int]) -> np.ndarray:
    """A dark photo with bright squares, each x, y, side."""
    image = np.zeros((height, width, 3), np.uint8)
    for x, y, side in cells:
        image[y : y + side, x : x + side] = 255
    return image
