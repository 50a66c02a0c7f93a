from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from ffcore.distillation.teacher import OnnxTeacher, Teacher, TorchTeacher
from ffcore.errors import CheckpointError, ConfigError, ModelError
from ffcore.export.onnx_graph import export_onnx
from ffcore.models.featherface import FeatherFace
from ffcore.models.weights import load_network
from tests.distillation.toys import student, trained

PUBLIC = {"v1-original": "v1_original_public.pth", "v1": "v1_public.pth", "v2-ca": "v2_ca_public.pth"}


def pixels(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1)) * 255 - 110


def difference(logits: Tensor) -> Tensor:
    return logits[..., 1] - logits[..., 0]


def test_a_teacher_says_what_its_network_says_and_shows_its_maps() -> None:
    network = trained("v1")
    x = pixels(2, 3, 64, 97)
    teacher = TorchTeacher(network)
    lesson = teacher(x, features=True)
    with torch.no_grad():
        torch.testing.assert_close(lesson.outputs, network(x), rtol=1e-4, atol=1e-4)
        assert lesson.features is not None
        torch.testing.assert_close(lesson.features, network.features(x), rtol=1e-4, atol=1e-4)
    assert teacher(x).features is None


def test_a_teacher_is_a_frozen_copy_whatever_happens_to_its_network() -> None:
    network = trained("v2")
    teacher = TorchTeacher(network)
    x = pixels(2, 3, 64, 64)
    before = teacher(x)
    network.train()(x)  # moves running statistics
    with torch.no_grad():
        for weight in network.parameters():
            weight.zero_()
    assert all(weight.requires_grad for weight in network.parameters())
    after = teacher(x.requires_grad_())
    assert all(torch.equal(a, b) for a, b in zip(before.outputs, after.outputs, strict=True))
    assert not any(value.requires_grad for value in after.outputs)


def test_a_teacher_in_half_precision_says_nearly_the_same_even_within_mixed_precision() -> None:
    network, x = trained("v2"), pixels(1, 3, 64, 64)
    exact = TorchTeacher(network)(x).outputs
    half = TorchTeacher(network, dtype=torch.float16)(x).outputs
    assert half.logits.dtype == torch.float16
    for a, b in zip(exact, half, strict=True):
        assert float((a - b.float()).abs().max()) < 0.02 * float(a.abs().max())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        within = TorchTeacher(network)(x).outputs
    assert all(torch.equal(a, b) for a, b in zip(exact, within, strict=True))


def untrained() -> nn.Module:
    return student()


def half_trained() -> nn.Module:
    """As after `load_backbone`: some of it knows the world, the rest does not."""
    network = student()
    network.backbone.load_state_dict(trained("v2").backbone.state_dict())
    return network


def broken() -> nn.Module:
    network = trained("v2")
    next(network.parameters()).data.view(-1)[3] = float("nan")
    return network


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (untrained, "teacher v2 is not trained: .* BatchNorms have seen no image"),
        (half_trained, r"teacher v2 is not trained: .*\(backbone_attention"),
        (broken, "values that are no numbers"),
        (lambda: nn.Linear(1, 1), "not Linear"),
    ],
)
def test_what_cannot_teach_is_refused_in_one_line(make: object, message: str, onnx_file: Path) -> None:
    for build in (TorchTeacher, lambda network: OnnxTeacher(network, onnx_file)):
        with pytest.raises(ModelError, match=message) as caught:
            build(make())  # type: ignore[operator]
        assert "\n" not in str(caught.value)


def test_a_file_of_other_weights_is_refused(onnx_file: Path) -> None:
    other = trained("v2")
    with torch.no_grad():
        next(other.heads.parameters()).mul_(1.1)
    with pytest.raises(CheckpointError, match=r"does not compute what the teacher v2 does"):
        OnnxTeacher(other, onnx_file)
    with pytest.raises(CheckpointError, match=r"does not compute what the teacher v1 does"):
        OnnxTeacher(trained("v1"), onnx_file)


def test_a_file_that_rounds_small_probabilities_is_refused(tmp_path: Path) -> None:
    network = trained("v2")
    with torch.no_grad():
        for head in network.heads:
            head.logits.bias[0::2] += (
                12  # as sure of its background as a network that saw thousands of photos
            )
    export_onnx(network, tmp_path / "fast.onnx", form="fast")
    with pytest.raises(CheckpointError, match=r"fast\.onnx: rounds small probabilities.*form=\"plain\""):
        OnnxTeacher(network, tmp_path / "fast.onnx")


def test_a_file_of_one_size_is_refused_because_batches_have_others(tmp_path: Path, onnx_file: Path) -> None:
    model = onnx.load(onnx_file)
    for place, size in ((2, 64), (3, 64)):
        model.graph.input[0].type.tensor_type.shape.dim[place].dim_value = size
    onnx.save(model, tmp_path / "fixed.onnx")
    with pytest.raises(CheckpointError, match=r"fixed\.onnx: does not run on 64 × 96 pixels"):
        OnnxTeacher(trained("v2"), tmp_path / "fixed.onnx")


def test_a_file_that_is_no_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "teacher.onnx"
    with pytest.raises(CheckpointError, match="cannot open it"):
        OnnxTeacher(trained("v2"), path)
    path.write_bytes(b"no network")
    with pytest.raises(CheckpointError, match="cannot open it"):
        OnnxTeacher(trained("v2"), path)


def test_a_teacher_in_onnx_gives_no_features_and_needs_a_thread(onnx_file: Path) -> None:
    teacher = OnnxTeacher(trained("v2"), onnx_file)
    assert not teacher.gives_features
    with pytest.raises(ConfigError, match="gives no features"):
        teacher(pixels(1, 3, 64, 64), features=True)
    with pytest.raises(ModelError, match=r"v2\.onnx: ONNX Runtime failed on 1 × 4 × 64 × 64"):
        teacher(pixels(1, 4, 64, 64))
    with pytest.raises(ConfigError, match="threads = 0"):
        OnnxTeacher(trained("v2"), onnx_file, threads=0)


def check_equal(one: Teacher, other: Teacher, x: Tensor) -> None:
    a, b = one(x).outputs, other(x).outputs
    np.testing.assert_allclose(a.boxes, b.boxes, atol=1e-4)
    np.testing.assert_allclose(a.landmarks, b.landmarks, atol=1e-4)
    np.testing.assert_allclose(difference(a.logits), difference(b.logits), atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 3, 64, 64), (3, 3, 97, 64)])
def test_both_kinds_of_teacher_say_the_same(shape: tuple[int, ...], onnx_file: Path) -> None:
    network = trained("v2")
    x = pixels(*shape).contiguous(memory_format=torch.channels_last)
    check_equal(OnnxTeacher(network, onnx_file), TorchTeacher(network), x)


@pytest.mark.reference
@pytest.mark.parametrize("name", PUBLIC)
def test_public_teachers_say_the_same_in_torch_and_in_onnx(
    name: str, reference: Path, tmp_path: Path
) -> None:
    network: FeatherFace = load_network(reference / "weights" / PUBLIC[name], expect=name)
    path = tmp_path / "teacher.onnx"
    export_onnx(network, path, form="plain")
    images = np.load(reference / "golden" / "inputs.npz")
    one, other = OnnxTeacher(network, path, threads=1), TorchTeacher(network)
    for size in ("97x131", "160x256_b2"):
        x = images[size].astype(np.float32) - np.float32([104, 117, 123])
        check_equal(one, other, torch.from_numpy(x).permute(0, 3, 1, 2))
