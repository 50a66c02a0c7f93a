"""int8 graphs: which layers bear it, what they lose and gain, and that a loss is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

import ffcore.export.quantised as quantised
from ffcore.detection import FaceDetector
from ffcore.detection.shipped import SHIPPED
from ffcore.errors import ConfigError, ExportError, InputError
from ffcore.export.int8 import LayerGroup, changed_variance, choose_groups, layer_groups, measure_groups
from ffcore.export.options import Int8Options, Labels
from ffcore.export.photos import spread_photos
from ffcore.export.quantised import Accuracy, Quantised, quantise
from tests.detection.toys import toy_onnx

PHOTOS = Path(__file__).parents[2] / "examples" / "photos"
SIZE = (256, 256)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped graph."""
    return Path(shutil.copy(SHIPPED["v2"].onnx, tmp_path_factory.mktemp("whole") / "v2.onnx"))


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Labels:
    """The faces that the shipped weights find, as if somebody had labelled them."""
    folder = tmp_path_factory.mktemp("labels")
    (folder / "data" / "set").mkdir(parents=True)
    images, annotations = [], []
    for number, name in enumerate(("astronaut", "group"), start=1):
        shutil.copy(PHOTOS / f"{name}.jpg", folder / "data" / "set")
        detection = FaceDetector.load("v2", device="cpu").detect(PHOTOS / f"{name}.jpg")
        images.append(
            {
                "id": number,
                "file_name": f"set/{name}.jpg",
                "width": detection.width,
                "height": detection.height,
            }
        )
        for x1, y1, x2, y2 in detection.faces.boxes.tolist():
            box = [x1, y1, x2 - x1, y2 - y1]
            one = {"id": len(annotations) + 1, "image_id": number, "category_id": 1, "bbox": box}
            annotations.append({**one, "area": box[2] * box[3], "iscrowd": 0})
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "face"}]}
    (folder / "faces.json").write_text(json.dumps(content))
    return Labels(ground_truth=folder / "faces.json", data=folder / "data")


@pytest.fixture(scope="module")
def made(whole: Path, labels: Labels, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Quantised]:
    path = Path(shutil.copy(whole, tmp_path_factory.mktemp("int8") / "v2.onnx"))
    options = Int8Options(photos=PHOTOS, labels=labels, max_drop=20, rounds=2)
    return path, quantise(path, options=options, size=None, name="v2.onnx")


def test_every_convolution_is_in_one_group(whole: Path) -> None:
    model = onnx.load(whole)
    found = [node for group in layer_groups(model) for node in group.nodes]
    weights = {each.name for each in model.graph.initializer}
    assert sorted(found) == sorted(
        node.name for node in model.graph.node if node.op_type == "Conv" and node.input[1] in weights
    )
    names = [group.name for group in layer_groups(model)]
    assert len(names) == len(set(names))
    assert {"backbone stem", "backbone stage1", "backbone stage2", "neck pointwise"} < set(names)
    assert sum(group.share for group in layer_groups(model)) == pytest.approx(1)
    sizes = {each.name: int(np.prod(each.dims)) for each in model.graph.initializer}
    read = {node.name: node.input[1] for node in model.graph.node if node.op_type == "Conv"}
    total = sum(sizes[name] for name in set(read.values()))
    stage = next(group for group in layer_groups(model) if group.name == "backbone stage3")
    assert stage.share == pytest.approx(sum(sizes[read[node]] for node in stage.nodes) / total)


def test_groups_that_would_save_little_are_neither_measured_nor_quantised(
    made: tuple[Path, Quantised],
) -> None:
    groups = made[1].groups
    assert {group.name for group in groups if group.worth} == {"backbone stage2", "backbone stage3"}
    for group in groups:
        assert (group.lost is not None) == group.worth
        assert group.worth or not group.quantised


def test_the_file_has_pairs_around_its_convolutions_and_scales_by_channel(
    made: tuple[Path, Quantised],
) -> None:
    path, found = made
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    makers = {output: node for node in model.graph.node for output in node.output}
    weights = {each.name: each for each in model.graph.initializer}
    chosen = {node for group in found.groups if group.quantised for node in group.nodes}
    assert chosen
    for node in model.graph.node:
        if node.op_type == "Conv":
            parts = [makers.get(name) for name in node.input[:2]]
            inside = all(part is not None and part.op_type == "DequantizeLinear" for part in parts)
            assert inside == (node.name in chosen)
            if inside:
                content, scale = (weights[name] for name in parts[1].input[:2])  # type: ignore[union-attr]
                assert content.data_type == onnx.TensorProto.INT8
                assert scale.dims[0] == content.dims[0]
                # 7 bits: sums of pairs of products would overflow 16 bits on some processors
                assert np.abs(onnx.numpy_helper.to_array(content).astype(int)).max() <= 64
    assert path.stat().st_size < 0.8 * found.bytes_before


def test_the_groups_that_lose_least_are_quantised_as_far_as_the_budget_goes() -> None:
    lost = {"stem": 1.0, "heads": 0.2, "neck": -0.1, "context": 0.25}
    groups = [LayerGroup(name, (name,), 0.2, points) for name, points in lost.items()]
    groups.append(LayerGroup("not measured", ("not measured",), 0.01))
    for budget, names in (
        (0.0, {"neck"}),
        (0.3, {"neck", "heads"}),
        (0.5, lost.keys() - {"stem"}),
        (2, lost),
    ):
        found = choose_groups(groups, budget)
        assert [group.name for group in found] == [*lost, "not measured"]
        assert {group.name for group in found if group.quantised} == set(names)


def test_the_change_that_counts_is_that_of_anchors_that_either_notices() -> None:
    before = [np.array([0.9, 0.01, 0.5], np.float32), np.array([0.0], np.float32)]
    after = [np.array([0.92, 0.04, 0.5], np.float32), np.array([0.06], np.float32)]
    assert changed_variance(before, after) == pytest.approx((2**2 + 0 + 6**2) / 3, rel=1e-4)
    assert changed_variance(before, before) == 0
    assert changed_variance(before[1:], before[1:]) == 0


def test_what_is_quantised_is_what_is_expected_to_cost(made: tuple[Path, Quantised]) -> None:
    found = made[1]
    lost = [group.lost for group in found.groups if group.quantised]
    assert lost
    assert found.expected == pytest.approx(sum(points for points in lost if points is not None))
    assert 0 < found.expected <= quantised.SHARE * 20


def test_photos_without_a_face_say_nothing(tmp_path: Path) -> None:
    dark = [np.zeros((64, 64, 3), np.uint8)]
    with pytest.raises(InputError, match="finds no face"):
        measure_groups(toy_onnx(tmp_path / "toy.onnx"), groups=[], ranges=None, photos=dark)


def test_it_is_measured_and_the_file_carries_its_own_figures(made: tuple[Path, Quantised]) -> None:
    path, found = made
    assert found.accuracy.photos == 2
    assert found.accuracy.before.keys() == found.accuracy.after.keys() == found.accuracy.drops.keys()
    assert max(found.accuracy.before.values()) > 0.9  # it made the labels itself
    assert min(found.speed.before, found.speed.after) > 0
    entries = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert entries["featherface.precision"] == "int8"
    assert entries["featherface.network"] == "v2"
    told = {key: value for key, value in entries.items() if key.startswith("featherface.ap.")}
    assert told.pop("featherface.ap.protocol") == "faces.json, protocol original"
    assert told.pop("featherface.ap.photos") == "2"
    assert told == {f"featherface.ap.{name}": f"{ap:.4f}" for name, ap in found.accuracy.after.items()}
    assert len(FaceDetector.load(path, device="cpu")(PHOTOS / "astronaut.jpg")) == 1
    told = found.to_dict()
    assert told["photos"] == 4
    assert told["note"].startswith("4 photos are few to calibrate on")
    json.dumps(told)


def test_without_labels_the_float_network_is_the_truth_and_a_loss_is_refused(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(shutil.copy(whole, tmp_path / "v2.onnx"))
    before = path.read_bytes()
    scores = iter([1.0, 0.9])
    monkeypatch.setattr(quantised, "agreement", lambda *_: next(scores))
    monkeypatch.setattr(
        quantised,
        "measure_groups",
        lambda *_, **given: [replace(group, lost=0.1) for group in given["groups"][-1:]],
    )
    options = Int8Options(photos=PHOTOS, rounds=1)
    with pytest.raises(
        ExportError, match=r"AP of agreement falls by 10.00 points, more than 1; nothing"
    ) as caught:
        quantise(path, options=options, size=SIZE, name="v2.onnx")
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_network_that_bears_nothing_is_refused(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(shutil.copy(whole, tmp_path / "v2.onnx"))
    monkeypatch.setattr(
        quantised, "measure_groups", lambda *_, **__: [LayerGroup("all", ("a",), 1.0, lost=9)]
    )
    with pytest.raises(ExportError, match="no group of its layers bears int8"):
        quantise(path, options=Int8Options(photos=PHOTOS), size=SIZE, name="v2.onnx")


def test_a_gain_is_a_negative_drop() -> None:
    accuracy = Accuracy({"easy": 0.9, "hard": 0.5}, {"easy": 0.88, "hard": 0.51}, truth="", photos=1)
    assert accuracy.drops == pytest.approx({"easy": 2.0, "hard": -1.0})


def test_photos_are_spread_over_the_folder(tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / f"{number}.jpg").touch()
    (tmp_path / "notes.txt").touch()
    assert [path.stem for path in spread_photos(tmp_path, 5)] == ["0", "2", "4", "6", "8"]
    assert len(spread_photos(tmp_path, 100)) == 10
    with pytest.raises(InputError, match="no such folder"):
        spread_photos(tmp_path / "none", 5)


@pytest.mark.parametrize("wrong", [{"max_drop": -1}, {"max_drop": 101}, {"limit": 1}])
def test_impossible_limits_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Int8Options(photos=PHOTOS, **wrong)  # type: ignore[arg-type]
