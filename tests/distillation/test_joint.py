from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ffcore.distillation.config import DistillationConfig
from ffcore.distillation.joint import JointNetwork, JointTeacher, mean_outputs
from ffcore.distillation.losses import face_logits
from ffcore.distillation.objective import DistillationObjective
from ffcore.distillation.teacher import OnnxTeacher, TorchTeacher
from ffcore.export.onnx_graph import export_onnx
from ffcore.models.featherface import FeatherFace
from ffcore.models.variants import VARIANTS
from tests.models.random_weights import random_network
from tests.training.test_trainer import batch

PIXELS = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(3)) * 255 - 110


@pytest.fixture(scope="module")
def networks() -> list[FeatherFace]:
    return [random_network(VARIANTS[name]) for name in ("v1", "v2", "v2-ca")]


@torch.no_grad()
def test_what_is_said_is_the_mean_of_what_each_says(networks: list[FeatherFace]) -> None:
    teachers = [TorchTeacher(network) for network in networks]
    lesson = JointTeacher(teachers)(PIXELS)
    assert lesson.features is None
    wanted = [network(PIXELS) for network in networks]
    for i, value in enumerate(lesson.outputs):
        torch.testing.assert_close(value, sum(said[i] for said in wanted) / 3)
    for value, other in zip(JointNetwork(networks)(PIXELS), lesson.outputs, strict=True):
        torch.testing.assert_close(value, other)


def test_one_teacher_alone_says_what_it_said(networks: list[FeatherFace]) -> None:
    alone = TorchTeacher(networks[0])
    said = alone(PIXELS).outputs
    for value, other in zip(JointTeacher([alone])(PIXELS).outputs, said, strict=True):
        assert torch.equal(value, other)
    assert mean_outputs([said]) is said


def test_maps_are_those_of_the_first(networks: list[FeatherFace]) -> None:
    first, second = TorchTeacher(networks[0]), TorchTeacher(networks[1])
    joint = JointTeacher([first, second])
    assert joint.network is first.network
    assert joint.gives_features
    found, wanted = joint(PIXELS, features=True).features, first(PIXELS, features=True).features
    assert found is not None
    assert wanted is not None
    assert all(torch.equal(a, b) for a, b in zip(found.backbone, wanted.backbone, strict=True))


def test_probabilities_of_a_file_and_logits_of_a_network_are_averaged_as_logits(
    networks: list[FeatherFace], tmp_path: Path
) -> None:
    export_onnx(networks[1], tmp_path / "v2.onnx", form="plain")
    mixed = JointTeacher([TorchTeacher(networks[0]), OnnxTeacher(networks[1], tmp_path / "v2.onnx")])
    assert mixed.gives_features
    assert not JointTeacher([OnnxTeacher(networks[1], tmp_path / "v2.onnx")]).gives_features
    plain = JointTeacher([TorchTeacher(network) for network in networks[:2]])
    found, wanted = (face_logits(teacher(PIXELS).outputs) for teacher in (mixed, plain))
    torch.testing.assert_close(found, wanted, atol=1e-3, rtol=1e-3)


def test_in_turns_one_of_them_speaks_to_a_batch_and_all_to_a_validation(networks: list[FeatherFace]) -> None:
    teachers = [TorchTeacher(network) for network in networks[:2]]
    turns = JointTeacher(teachers, together="turns")
    assert not turns.gives_features
    said = [teacher(PIXELS).outputs.boxes for teacher in teachers]
    torch.manual_seed(4)
    state = torch.get_rng_state()
    heard = [turns(PIXELS).outputs.boxes for _ in range(12)]
    speakers = [[torch.equal(boxes, wanted) for wanted in said].index(True) for boxes in heard]
    assert set(speakers) == {0, 1}
    torch.set_rng_state(state)
    assert all(torch.equal(turns(PIXELS).outputs.boxes, boxes) for boxes in heard)
    with torch.no_grad():
        together = turns(PIXELS).outputs.boxes
    assert torch.equal(together, JointTeacher(teachers)(PIXELS).outputs.boxes)


def test_a_student_that_says_the_mean_already_has_nothing_to_learn(networks: list[FeatherFace]) -> None:
    student, other = networks[1:]
    joint = JointTeacher([TorchTeacher(student), TorchTeacher(student)])
    settings = DistillationConfig(feature_weight=0, normalize="focal")
    same = DistillationObjective(student, joint, distillation=settings).eval()(batch(0))
    assert float(same.terms["distill"].detach()) == pytest.approx(0, abs=1e-6)
    joint = JointTeacher([TorchTeacher(student), TorchTeacher(other)])
    apart = DistillationObjective(student, joint, distillation=settings).eval()(batch(0))
    assert float(apart.terms["distill"].detach()) > 0.01
