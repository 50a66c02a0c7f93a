"""Channels that share a range of values, in a graph that computes the same to the bit.

A tensor in int8 has one scale for all its channels, so that a channel of small values has few steps left
beside one of large values. Between two convolutions with nothing or a (leaky) rectifier in between, a channel
can be divided by any positive number in the first and multiplied by it in the second (Nagel et al. 2019,
Data-Free Quantization Through Weight Equalization and Bias Correction, section 4.1). Here the ranges are
those of activations, as weights have a scale for each output (as in Xiao et al. 2023, SmoothQuant, section
4), and the numbers are powers of two, so that no result is rounded otherwise than before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from ffcore.errors import ExportError, one_line
from ffcore.export.parity import onnx_runner, planes

FARTHEST = 6
"""A channel is moved by at most this many powers of two against the others of its tensor."""

_HOMOGENEOUS = ("LeakyRelu", "Relu")
"""f(s · x) = s · f(x) for s > 0."""


@dataclass(frozen=True)
class Link:
    """Two convolutions of which the second alone reads what the first gives.

    Args:
        first: With a weight of its own.
        second: With a weight of its own.
    """

    first: onnx.NodeProto
    second: onnx.NodeProto

    @property
    def tensor(self) -> str:
        """What the first gives, before any rectifier."""
        return str(self.first.output[0])


def links(model: onnx.ModelProto) -> list[Link]:
    """The pairs of convolutions between which channels can be scaled, in the order of the graph."""
    graph = model.graph
    reads = Counter(name for node in graph.node for name in node.input)
    reads.update(output.name for output in graph.output)  # what the graph gives is nobody's to change
    weights = {each.name for each in graph.initializer if reads[each.name] == 1}
    readers = {name: node for node in graph.node for name in node.input if reads[name] == 1}

    def movable(node: onnx.NodeProto) -> bool:
        return node.op_type == "Conv" and weights.issuperset(node.input[1:])

    found = []
    for first in filter(movable, graph.node):
        second = readers.get(first.output[0])
        if second is not None and second.op_type in _HOMOGENEOUS:
            second = readers.get(second.output[0])
        if second is not None and movable(second):
            found.append(Link(first, second))
    return found


def equalised(model: onnx.ModelProto, photos: Iterable[NDArray[np.uint8]]) -> onnx.ModelProto:
    """A graph with the same outputs, whose channels have ranges as alike as they can be.

    Before a depthwise convolution all channels get one range, for each of its filters has a scale of its own.
    Elsewhere a channel's range and that of the weights that read it share the difference.

    Args:
        model: In float32; its first input is the image.
        photos: (H, W, 3) uint8 BGR, on which ranges are seen.

    Raises:
        ExportError: The graph does not run.
    """
    found = links(model)
    peaks = _peaks(model, [link.tensor for link in found], photos)
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    stored = {each.name: each for each in changed.graph.initializer}
    values = {
        name: onnx.numpy_helper.to_array(stored[name]).copy()
        for link in found
        for name in (*link.first.input[1:], link.second.input[1])
    }
    for link, peak in zip(found, peaks, strict=True):
        reading = _by_input(values[link.second.input[1]], groups=_groups(link.second))
        power = _powers(
            peak, np.abs(reading).max(axis=(1, 3, 4)).reshape(-1), free=reading.shape[1:3] == (1, 1)
        )
        scale = np.exp2(power).astype(np.float32)
        for name in link.first.input[1:]:
            values[name] /= scale.reshape(-1, *[1] * (values[name].ndim - 1))
        reading *= scale.reshape(reading.shape[0], 1, reading.shape[2], 1, 1)
    for name, value in values.items():
        stored[name].CopyFrom(onnx.numpy_helper.from_array(value, name))
    return changed


def _powers(peak: NDArray[np.float64], reach: NDArray[np.float32], *, free: bool) -> NDArray[np.float64]:
    """By which power of two each of C channels is to be divided.

    Args:
        peak: (C,) the largest value of each.
        reach: (C,) the largest weight that reads it.
        free: Whether these weights may have any range.
    """
    if not peak.max() > 0:
        return np.zeros_like(peak)
    least = 2.0 ** -(2 * FARTHEST)
    wanted = np.log2(np.maximum(peak / peak.max(), least))
    if not free and reach.max() > 0:
        wanted = (wanted - np.log2(np.maximum(reach / reach.max(), least))) / 2
    return np.asarray(np.clip(np.round(wanted - np.median(wanted)), -FARTHEST, FARTHEST))


def _by_input(weight: NDArray[np.float32], *, groups: int) -> NDArray[np.float32]:
    """A view (groups, outputs of each, inputs of each, height, width) of a convolution's weight."""
    return weight.reshape(groups, -1, *weight.shape[1:])


def _groups(node: onnx.NodeProto) -> int:
    return next((int(each.i) for each in node.attribute if each.name == "group"), 1)


def _peaks(
    model: onnx.ModelProto, tensors: Sequence[str], photos: Iterable[NDArray[np.uint8]]
) -> list[NDArray[np.float64]]:
    """The largest absolute value of each channel of some tensors, (C,) each."""
    if not tensors:
        return []
    observed = onnx.ModelProto()
    observed.CopyFrom(model)
    observed.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in tensors)
    try:
        run = onnx_runner(observed.SerializeToString())
        peaks: list[NDArray[np.float64]] = []
        for photo in photos:
            values = run(planes(photo[None]))[len(model.graph.output) :]
            seen = [np.abs(value).max(axis=(0, 2, 3)).astype(np.float64) for value in values]
            peaks = [np.maximum(*both) for both in zip(peaks, seen, strict=True)] if peaks else seen
    except Exception as error:  # ONNX Runtime has no family of errors of its own
        raise ExportError(
            f"int8: looking at ranges failed ({one_line(error)}); nothing was written"
        ) from error
    return peaks
