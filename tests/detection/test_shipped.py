from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from ffcore import FaceDetector, load_network, read_image
from ffcore.detection.loading import tensors_file, weights_file
from ffcore.detection.onnxruntime_backend import OnnxRuntimeBackend
from ffcore.detection.shipped import SHIPPED
from ffcore.detection.torch_backend import TorchBackend
from ffcore.errors import CheckpointError, UnknownModelError
from ffcore.models.weights import read_checkpoint

PHOTOS = Path(__file__).parents[2] / "examples" / "photos"
FACES = {"astronaut.jpg": 1, "cat.jpg": 0, "group.jpg": 18, "grace_hopper.jpg": 1}


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_weights_are_those_of_the_network_of_that_name(name: str) -> None:
    network = load_network(SHIPPED[name].tensors, expect=name)
    assert sum(parameter.numel() for parameter in network.parameters()) == 256_156
    assert SHIPPED[name].onnx.stat().st_size < 1.5 * 2**20


@pytest.mark.parametrize("name", SHIPPED)
def test_both_files_compute_the_same(name: str) -> None:
    network = load_network(SHIPPED[name].tensors)
    photo = read_image(PHOTOS / "group.jpg")[None, :300, :421]
    first = TorchBackend(network, device="cpu").run(photo)
    second = OnnxRuntimeBackend(SHIPPED[name].onnx, device="cpu").run(photo)
    np.testing.assert_allclose(first.boxes, second.boxes, atol=2e-4)
    np.testing.assert_allclose(first.scores, second.scores, atol=2e-5)
    np.testing.assert_allclose(first.landmarks, second.landmarks, atol=2e-4)


@pytest.mark.parametrize("photo", FACES)
def test_every_face_of_the_examples_is_found_and_no_other(photo: str) -> None:
    assert len(FaceDetector.load("v2", device="cpu")(PHOTOS / photo)) == FACES[photo]


@pytest.mark.parametrize("name", SHIPPED)
def test_the_files_say_where_they_come_from_and_what_was_measured(name: str) -> None:
    facts = read_checkpoint(SHIPPED[name].tensors).facts
    wanted = {
        "data",
        "licence",
        "backbone_from",
        "ap.easy",
        "ap.medium",
        "ap.hard",
        "ap.protocol",
        "ap.photos",
    }
    assert wanted <= set(facts)
    entries = {entry.key: entry.value for entry in onnx.load(SHIPPED[name].onnx).metadata_props}
    assert {f"featherface.{key}": facts[key] for key in wanted}.items() <= entries.items()
    assert SHIPPED[name].tensors.with_suffix(".md").is_file()  # the model card


def test_the_name_of_a_shipped_file_means_it_unless_such_a_file_lies_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert weights_file("v2.onnx") == weights_file("v2") == SHIPPED["v2"].onnx
    assert weights_file("v2.safetensors") == SHIPPED["v2"].tensors
    for name in ("v2", "v2.onnx", "v2.safetensors"):
        assert tensors_file(name) == SHIPPED["v2"].tensors
    (tmp_path / "v2.onnx").write_bytes(b"mine")
    assert weights_file("v2.onnx") == tensors_file("v2.onnx") == Path("v2.onnx")
    with pytest.raises(UnknownModelError):
        tensors_file("v3")
    with pytest.raises(CheckpointError, match="there is no such file"):
        weights_file("models/v2.onnx")


def test_the_shipped_weights_see_a_picture_without_faces_as_empty() -> None:
    assert len(FaceDetector.load("v2", device="cpu")(np.full((240, 320, 3), 127, np.uint8))) == 0
    assert torch.isfinite(
        torch.cat([p.flatten() for p in load_network(SHIPPED["v2"].tensors).parameters()])
    ).all()


@pytest.mark.parametrize("name", SHIPPED)
def test_the_files_hold_no_path_of_the_machine_that_made_them(name: str) -> None:
    for file in SHIPPED[name]:
        content = file.read_bytes()
        assert b"stack_trace" not in content
        assert b'File "' not in content
