"""Graphs whose convolutions compute in int8, with the layers that suffer most left in float."""

from __future__ import annotations

import logging
import math
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from ffcore.detection.loading import load_backend
from ffcore.errors import ExportError, InputError, one_line
from ffcore.export.parity import planes

SHARE = 0.75
"""The expected losses of the groups that are quantised add up to at most this part of what may be lost."""

WORTH = 0.1
"""Groups with a smaller part of the weights of all convolutions stay in float. What they save is little, and
every passage between float and int8 takes time and nodes: with v2 the whole graph in int8 takes 1.2 times as
long, and is no smaller than the last two stages of the backbone make it."""

AP_PER_VARIANCE = 1 / 5
"""Points of AP that a mean squared change of the face probability of 1 point² costs. Measured on 200 WIDER
FACE validation photos, calibrated on photos of all kinds: with v2 changes of 0.4, 1.3, 1.8 and 2.5 points
(root mean square) cost 0.0, 0.3, 0.7 and 1.4 points on the subset that suffered most, with v1 1.6 cost
0.1."""

NOTICED = 0.05
"""Anchors of which either network gives less than this say nothing."""

_PARTS = (
    "backbone_attention",
    "pyramid_attention",
    "context_attention",
    "backbone",
    "neck",
    "context",
    "shuffle",
    "heads",
)


@dataclass(frozen=True)
class LayerGroup:
    """Convolutions that are quantised together or not at all.

    Args:
        name: Part of the network and kind of convolution.
        nodes: Their names in the graph.
        share: Part of the weights of all convolutions that is theirs, 0..1.
        lost: Points of AP, 0..100, that quantising this group alone is expected to cost; None where it was
            not measured.
        quantised: Whether it becomes int8.
    """

    name: str
    nodes: tuple[str, ...]
    share: float
    lost: float | None = None
    quantised: bool = False

    @property
    def worth(self) -> bool:
        """Whether int8 would save enough; see `WORTH`."""
        return self.share >= WORTH


def choose_groups(groups: Sequence[LayerGroup], budget: float) -> list[LayerGroup]:
    """Quantises the groups that lose least, as many as a budget bears; the others stay in float.

    Args:
        groups: With what each loses alone. Those that were not measured stay in float.
        budget: Points that may be lost in all, 0..100.
    """
    left = budget
    chosen = set()
    for lost, name in sorted((each.lost, each.name) for each in groups if each.lost is not None):
        left -= max(lost, 0.0)
        if left < 0:
            break
        chosen.add(name)
    return [replace(group, quantised=group.name in chosen) for group in groups]


def layer_groups(model: onnx.ModelProto) -> list[LayerGroup]:
    """The convolutions of a graph, by part of the network, in the order of the graph.

    Outside the backbone the kinds of convolution of a part are apart. A stage of the backbone is one chain of
    two kinds in turns, which would be float and int8 in turns as well.

    Args:
        model: As `ffcore.export.export_onnx` writes it. Parts are known by the names of the weights; those
            of other names form a part of their own.
    """
    weights = {each.name: each for each in model.graph.initializer}
    found: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        if node.op_type == "Conv" and node.input[1] in weights:
            found.setdefault(_group(node, weights[node.input[1]].dims), []).append(node)

    def size(nodes: Iterable[onnx.NodeProto]) -> int:
        return sum(math.prod(weights[name].dims) for name in {node.input[1] for node in nodes})

    total = size(chain.from_iterable(found.values()))
    return [
        LayerGroup(name, tuple(node.name for node in nodes), share=size(nodes) / total)
        for name, nodes in found.items()
    ]


def _group(node: onnx.NodeProto, shape: Sequence[int]) -> str:
    words = node.input[1].split(".")
    part = next((part for part in _PARTS if part in words), "other")
    kind = _kind(node, shape)
    stage = next((word for word in words if word.startswith("stage")), "")
    return f"{part} {stage}" if part == "backbone" and stage and kind != "stem" else f"{part} {kind}"


def _kind(node: onnx.NodeProto, shape: Sequence[int]) -> str:
    groups = next((each.i for each in node.attribute if each.name == "group"), 1)
    if shape[1] == 3 and groups == 1:
        return "stem"
    if groups > 1:
        return "depthwise" if shape[1] == 1 else "grouped"
    return "pointwise" if tuple(shape[2:]) == (1, 1) else "convolution"


def value_ranges(path: Path, photos: Iterable[NDArray[np.uint8]]) -> Any:
    """The smallest and largest value that each tensor takes on photos.

    Args:
        path: The graph in float32.
        photos: (H, W, 3) uint8 BGR.

    Returns:
        What `write_int8` takes.

    Raises:
        ExportError: The graph does not run.
    """
    from onnxruntime.quantization.calibrate import CalibrationMethod, create_calibrator

    with tempfile.TemporaryDirectory() as folder, _quiet():
        try:
            calibrator = create_calibrator(
                path,
                ["Conv"],
                augmented_model_path=str(Path(folder) / "observed.onnx"),
                calibrate_method=CalibrationMethod.MinMax,
            )
            calibrator.collect_data(_Reader(onnx.load(path).graph.input[0].name, photos))
            return calibrator.compute_data()
        except Exception as error:  # it has no family of errors of its own
            raise ExportError(f"int8: calibration failed ({one_line(error)}); nothing was written") from error


class _Reader:
    """Hands photos to the calibrator one by one, with the interface that it wants."""

    def __init__(self, name: str, photos: Iterable[NDArray[np.uint8]]) -> None:
        self._name = name
        self._photos = iter(photos)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """The next input, or None."""
        photo = next(self._photos, None)
        return None if photo is None else {self._name: planes(photo[None])}


def write_int8(path: Path, out: Path, *, ranges: Any, nodes: Sequence[str]) -> None:
    """Writes a graph in which convolutions stand between pairs of QuantizeLinear and DequantizeLinear.

    Weights have a scale for each output channel and 7 bits, for processors without dot products of bytes
    add pairs of products in 16 bits, and 8 would overflow there. Activations are uint8.

    Args:
        path: The graph in float32.
        out: The file to write; metadata is kept.
        ranges: From `value_ranges`.
        nodes: Names of the convolutions.
    """
    from onnxruntime.quantization import QuantType
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
    from onnxruntime.quantization.quant_utils import load_model_with_shape_infer

    with _quiet():
        try:
            quantizer = QDQQuantizer(
                load_model_with_shape_infer(path),
                per_channel=True,
                reduce_range=True,
                weight_qType=QuantType.QInt8,
                activation_qType=QuantType.QUInt8,
                tensors_range=ranges,
                nodes_to_quantize=list(nodes),
                nodes_to_exclude=[],
                op_types_to_quantize=["Conv"],
                extra_options={},
            )
            quantizer.quantize_model()
            quantizer.model.save_model_to_file(str(out))
        except Exception as error:  # as above
            raise ExportError(f"int8: quantising failed ({one_line(error)}); nothing was written") from error


def measure_groups(
    path: Path, *, groups: Sequence[LayerGroup], ranges: Any, photos: Sequence[NDArray[np.uint8]]
) -> list[LayerGroup]:
    """What quantising each group alone is expected to cost, of those that are worth it.

    APs of a few photos are too coarse to tell groups apart. The changes of the face probabilities are not:
    those of different groups are independent, so that their squares add up, and they foretell the AP; see
    `AP_PER_VARIANCE`.

    Args:
        path: The graph in float32.
        groups: From `layer_groups`.
        ranges: From `value_ranges`.
        photos: (H, W, 3) uint8 BGR; others than those that the ranges were learnt from.

    Raises:
        InputError: The network sees nothing like a face on any of the photos.
    """
    before = _probabilities(path, photos)
    if not any((each > NOTICED).any() for each in before):
        raise InputError("the network finds no face on the photos; give photos with faces to compare on")
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder) / "trial.onnx"
        found = []
        for group in groups:
            if not group.worth:
                found.append(group)
                continue
            write_int8(path, trial, ranges=ranges, nodes=group.nodes)
            variance = changed_variance(before, _probabilities(trial, photos))
            found.append(replace(group, lost=AP_PER_VARIANCE * variance))
        return found


def changed_variance(before: Sequence[NDArray[np.float32]], after: Sequence[NDArray[np.float32]]) -> float:
    """Mean squared change of the face probabilities, in points², of the anchors where either is `NOTICED`.

    Args:
        before: (A,) of each photo, 0..1.
        after: The same photos.
    """
    parts = [(new - old)[np.maximum(old, new) > NOTICED] for old, new in zip(before, after, strict=True)]
    changes = 100 * np.concatenate(parts).astype(np.float64)
    return float(np.mean(changes**2)) if len(changes) else 0.0


def _probabilities(path: Path, photos: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
    backend = load_backend(path, device="cpu", threads=1)
    return [backend.run(photo[None]).scores[0] for photo in photos]


def set_metadata(path: Path, *, changes: Mapping[str, str], without: str = "") -> None:
    """Changes entries of a file.

    Args:
        path: An ONNX file.
        changes: To be added or replaced.
        without: Entries that begin so are removed before; none when empty.
    """
    model = onnx.load(path)
    kept = {
        entry.key: entry.value
        for entry in model.metadata_props
        if not (without and entry.key.startswith(without))
    }
    onnx.helper.set_model_props(model, {**kept, **changes})
    onnx.save(model, path)


@contextmanager
def _quiet() -> Iterator[None]:
    """The quantiser advises on the root logger; none of it is for users."""
    root = logging.getLogger()
    level = root.level
    try:
        root.setLevel(logging.ERROR)
        yield
    finally:
        root.setLevel(level)
