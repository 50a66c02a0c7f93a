"""Graphs whose channels were scaled give the same to the bit, and need fewer steps for as much."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from ffcore.detection.shipped import SHIPPED
from ffcore.errors import ExportError
from ffcore.export.equalise import FARTHEST, equalised, links
from ffcore.export.parity import planes
from ffcore.images import read_image

PHOTOS = Path(__file__).parents[2] / "examples" / "photos"
ANY = ["b", "c", "y", "x"]


def chain(
    widths: Sequence[int],
    groups: Sequence[int],
    *,
    rectifier: str | None = "LeakyRelu",
    seed: int = 0,
    shown: Sequence[str] = (),
) -> onnx.ModelProto:
    """Convolutions of these widths on 3 channels, one after another, weights of very different sizes.

    Args:
        widths: Channels that each gives.
        groups: Of each.
        rectifier: Between them.
        seed: Of the weights.
        shown: Tensors that the graph gives besides its last.
    """
    random = np.random.default_rng(seed)
    nodes, weights, before, tensor = [], [], 3, "image"
    for number, (width, count) in enumerate(zip(widths, groups, strict=True)):
        weight = random.normal(size=(width, before // count, 3, 3)) * np.exp2(
            random.integers(-6, 6, (width, 1, 1, 1))
        )
        bias = random.normal(size=width) * np.abs(weight).max(axis=(1, 2, 3))
        for kind, value in (("weight", weight), ("bias", bias)):
            weights.append(numpy_helper.from_array(value.astype(np.float32), f"{number}.{kind}"))
        inputs, out = [tensor, f"{number}.weight", f"{number}.bias"], f"conv{number}"
        nodes.append(helper.make_node("Conv", inputs, [out], pads=[1] * 4, group=count, name=out))
        tensor, before = out, width
        if rectifier and number < len(widths) - 1:
            alpha = {"alpha": 0.1} if rectifier == "LeakyRelu" else {}
            nodes.append(helper.make_node(rectifier, [out], [f"act{number}"], **alpha))
            tensor = f"act{number}"
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["b", 3, "h", "w"])
    given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ANY) for name in (tensor, *shown)]
    graph = helper.make_graph(nodes, "chain", [image], given, initializer=weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def outputs(model: onnx.ModelProto, photo: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return list(session.run(None, {session.get_inputs()[0].name: planes(photo[None])}))


def weights(model: onnx.ModelProto) -> dict[str, NDArray[np.float32]]:
    return {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}


def noise(seed: int, side: int = 12) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)


@settings(deadline=None, max_examples=40)
@given(
    shape=st.lists(st.tuples(st.sampled_from([4, 8]), st.sampled_from([1, 2, 4])), min_size=2, max_size=4),
    rectifier=st.sampled_from(["LeakyRelu", "Relu", None]),
    seed=st.integers(0, 2**16),
)
def test_every_output_is_what_it_was_to_the_bit(
    shape: list[tuple[int, int]], rectifier: str | None, seed: int
) -> None:
    widths, groups = zip(*shape, strict=True)
    model = chain(widths, (1, *groups[1:]), rectifier=rectifier, seed=seed)
    assert len(links(model)) == len(shape) - 1
    changed = equalised(model, [noise(seed)])
    onnx.checker.check_model(changed)
    for photo in (noise(seed), noise(seed + 1, side=9)):
        for have, want in zip(outputs(changed, photo), outputs(model, photo), strict=True):
            np.testing.assert_array_equal(have, want)


def test_channels_before_a_depthwise_convolution_get_one_range() -> None:
    model = chain((16, 16), (1, 16), seed=3)
    photos = [noise(1), noise(2)]
    shown = chain((16, 16), (1, 16), seed=3, shown=["conv0"])
    before = np.max([np.abs(outputs(shown, photo)[1]).max(axis=(0, 2, 3)) for photo in photos], axis=0)
    assert before.max() / before.min() > 100
    changed = equalised(model, photos)
    changed.graph.output.append(helper.make_tensor_value_info("conv0", TensorProto.FLOAT, ANY))
    after = np.max([np.abs(outputs(changed, photo)[1]).max(axis=(0, 2, 3)) for photo in photos], axis=0)
    assert after.max() / after.min() <= 2  # powers of two come no closer


def test_elsewhere_ranges_and_the_weights_that_read_them_share_the_difference() -> None:
    model = chain((8, 8), (1, 1), seed=4)
    changed = weights(equalised(model, [noise(1)]))
    scale = weights(model)["0.weight"][:, 0, 0, 0] / changed["0.weight"][:, 0, 0, 0]
    assert set(np.log2(scale)) <= set(range(-FARTHEST, FARTHEST + 1))
    assert len(set(scale)) > 2
    np.testing.assert_array_equal(changed["1.weight"], weights(model)["1.weight"] * scale[:, None, None])
    np.testing.assert_array_equal(changed["0.bias"], weights(model)["0.bias"] / scale)
    shown = chain((8, 8), (1, 1), seed=4, shown=["conv0"])
    peak = np.abs(outputs(shown, noise(1))[1]).max(axis=(0, 2, 3))
    before, after = (
        np.ptp(np.log2(peak / factor / np.abs(each["1.weight"]).max(axis=(0, 2, 3))))
        for factor, each in ((1, weights(model)), (scale, changed))
    )
    assert before > 6
    assert after <= 2  # half a power of two is rounded off on either side, and counts twice


def test_what_others_read_too_stays() -> None:
    for model in (
        chain((4, 4), (1, 4), shown=["conv0"]),
        chain((4, 4), (1, 4), shown=["act0"]),
        chain((4, 4), (1, 4), rectifier="Sigmoid"),
    ):
        assert links(model) == []
        assert weights(equalised(model, [noise(1)])).keys() == weights(model).keys()
        for name, value in weights(equalised(model, [noise(1)])).items():
            np.testing.assert_array_equal(value, weights(model)[name])
    shared = chain((4, 4, 4), (1, 4, 4))
    shared.graph.node[4].input[1] = "1.weight"  # the third convolution reads the second's
    assert links(shared) == []


def test_a_channel_that_is_always_zero_stays_finite() -> None:
    model = chain((4, 4), (1, 4))
    for name in ("0.weight", "0.bias"):
        stored = next(each for each in model.graph.initializer if each.name == name)
        value = numpy_helper.to_array(stored).copy()
        value[1] = 0
        stored.CopyFrom(numpy_helper.from_array(value, name))
    changed = equalised(model, [noise(1)])
    assert all(np.isfinite(value).all() for value in weights(changed).values())
    np.testing.assert_array_equal(outputs(changed, noise(2))[0], outputs(model, noise(2))[0])
    for stored in model.graph.initializer:
        stored.CopyFrom(numpy_helper.from_array(np.zeros_like(numpy_helper.to_array(stored)), stored.name))
    for value in weights(equalised(model, [noise(1)])).values():
        assert not value.any()


def test_the_shipped_network_finds_the_same_and_its_backbone_is_linked() -> None:
    model = onnx.load(SHIPPED["v2"].onnx)
    photos = [read_image(PHOTOS / f"{name}.jpg")[:320, :320] for name in ("group", "astronaut")]
    found = [link.first.input[1] for link in links(model)]
    assert sum("backbone.stage" in name for name in found) == 24  # of 27; three are read by more than one
    changed = equalised(model, photos[:1])
    moved = [name for name, value in weights(changed).items() if (value != weights(model)[name]).any()]
    assert len(moved) > 40
    for have, want in zip(outputs(changed, photos[1]), outputs(model, photos[1]), strict=True):
        np.testing.assert_array_equal(have, want)


def test_a_graph_that_does_not_run_is_named_in_one_line() -> None:
    with pytest.raises(ExportError, match="int8: looking at ranges failed") as caught:
        equalised(chain((4, 4), (1, 4)), [noise(1, side=0)])
    assert "\n" not in str(caught.value)
