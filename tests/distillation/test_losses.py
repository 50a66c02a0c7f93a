from __future__ import annotations

import math
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ffcore.distillation.losses import Normalization, agreement, distillation_losses
from ffcore.distributed import Processes
from ffcore.models.blocks.heads import RawOutputs
from tests.distillation.toys import background, finite, leaves, outputs

KINDS = get_args(Normalization)


@pytest.mark.reference
@pytest.mark.parametrize("case", ["b1", "b4"])
def test_golden_terms_total_and_gradients(case: str, reference: Path) -> None:
    gold = np.load(reference / "golden" / "distill.npz")

    def recorded(who: str) -> RawOutputs:
        return RawOutputs(*(torch.from_numpy(gold[f"{case}/{who}_{k}"]) for k in ("loc", "conf", "landm")))

    own = leaves(recorded("student"))
    terms = distillation_losses(own, recorded("teacher"))
    distill = terms.classification + terms.box + terms.landmark
    for value, name in zip(
        (*terms, distill), ("kl_times_T2", "mse_loc", "mse_landm", "distill"), strict=True
    ):
        assert float(value.detach()) == pytest.approx(float(gold[f"{case}/{name}"]), rel=1e-5), name
    total = (1 - 0.7) * 1.25 + 0.7 * distill
    assert float(total.detach()) == pytest.approx(float(gold[f"{case}/total_task1.25_alpha0.7"]), rel=1e-5)
    distill.backward()
    for value, name in zip(own, ("loc", "conf", "landm"), strict=True):
        wanted = gold[f"{case}/grad_student_{name}"]
        assert value.grad is not None
        np.testing.assert_allclose(value.grad.numpy(), wanted, atol=1e-5 * np.abs(wanted).max())


def softmax(logits: list[float], temperature: float) -> list[float]:
    powers = [math.exp(value / temperature) for value in logits]
    return [power / sum(powers) for power in powers]


def by_hand(
    student: RawOutputs,
    teacher: RawOutputs,
    normalize: str,
    temperature: float,
    gamma: float,
    importance: list[float],
) -> tuple[float, float, float]:
    """The definitions, anchor by anchor."""
    batch, anchors = student.boxes.shape[:2]
    classification = box = landmark = mass = 0.0
    for b in range(batch):
        for a in range(anchors):
            given, wanted = student.logits[b, a].tolist(), teacher.logits[b, a].tolist()
            p, q = softmax(wanted, 1.0), softmax(given, 1.0)
            p_soft, q_soft = softmax(wanted, temperature), softmax(given, temperature)
            divergence = sum(x * math.log(x / y) for x, y in zip(p_soft, q_soft, strict=True))
            crossed = -sum(x * math.log(y) for x, y in zip(p, q, strict=True))
            weight = importance[a] * (1.0 if normalize == "all" else p[1])
            mass += weight
            if normalize == "focal":
                classification += importance[a] * abs(p[1] - q[1]) ** gamma * crossed
            else:
                classification += temperature**2 * weight * divergence
            box += weight * float((student.boxes[b, a] - teacher.boxes[b, a]).square().mean())
            landmark += weight * float((student.landmarks[b, a] - teacher.landmarks[b, a]).square().mean())
    divisor = mass if normalize == "all" else max(1.0, mass)
    return classification / (batch if normalize == "all" else divisor), box / divisor, landmark / divisor


@pytest.mark.parametrize("normalize", KINDS)
@given(
    seed=st.integers(0, 1000),
    images=st.integers(1, 3),
    anchors=st.integers(1, 12),
    temperature=st.sampled_from([1.0, 2.0, 4.0]),
    gamma=st.sampled_from([1.0, 1.5, 2.0]),
    prior=st.sampled_from([-6.0, 0.0, 3.0]),
    importance=st.none() | st.lists(st.floats(0.5, 4.0), min_size=12, max_size=12),
)
@settings(max_examples=30, deadline=None)
def test_every_normalisation_is_its_definition(
    normalize: Normalization,
    seed: int,
    images: int,
    anchors: int,
    temperature: float,
    gamma: float,
    prior: float,
    importance: list[float] | None,
) -> None:
    own, other = (outputs(images, seed=seed + i, anchors=anchors) for i in (0, 5000))
    other.logits[..., 1] += prior
    found = distillation_losses(
        own,
        other,
        normalize=normalize,
        temperature=temperature,
        gamma=gamma,
        importance=None if importance is None else torch.tensor(importance[:anchors]),
    )
    wanted = by_hand(own, other, normalize, temperature, gamma, importance or [1.0] * anchors)
    np.testing.assert_allclose([float(value) for value in found], wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("normalize", KINDS)
def test_a_student_that_says_what_its_teacher_says_has_no_loss_and_no_gradient(
    normalize: Normalization,
) -> None:
    teacher = outputs(scale=8.0)
    own = leaves(teacher)
    shifted = teacher._replace(logits=teacher.logits + 3)  # the same probabilities
    terms = distillation_losses(own, shifted, normalize=normalize)
    sum(terms).backward()
    assert all(abs(float(value.detach())) < 1e-4 for value in terms)
    for value in own:
        assert value.grad is not None
        assert float(value.grad.abs().max()) < 1e-5


@pytest.mark.parametrize("normalize", KINDS)
def test_a_teacher_that_sees_no_face_leaves_no_nan_behind(normalize: Normalization) -> None:
    own = leaves(outputs(scale=50.0))
    terms = distillation_losses(own, background(), normalize=normalize)
    sum(terms).backward()
    assert finite([*terms, *(value.grad for value in own if value.grad is not None)])
    if normalize != "all":
        assert float(terms.box.detach()) < 1e-20
        assert float(terms.landmark.detach()) < 1e-20
    if normalize == "foreground":
        assert float(terms.classification.detach()) < 1e-20
    else:
        assert float(terms.classification.detach()) > 1


def test_only_the_documented_average_grows_with_empty_anchors() -> None:
    def with_empty(values: RawOutputs, count: int) -> RawOutputs:
        empty = torch.tensor([30.0, 0.0]).expand(2, count, 2)
        return RawOutputs(
            torch.cat([values.boxes, torch.zeros(2, count, 4)], dim=1),
            torch.cat([values.logits, empty], dim=1),
            torch.cat([values.landmarks, torch.zeros(2, count, 10)], dim=1),
        )

    own, other = outputs(seed=1), outputs(seed=2)
    for normalize in ("foreground", "focal"):
        few = distillation_losses(own, other, normalize=normalize)  # type: ignore[arg-type]
        many = distillation_losses(with_empty(own, 5000), with_empty(other, 5000), normalize=normalize)  # type: ignore[arg-type]
        np.testing.assert_allclose(many, few, rtol=1e-5)
    many = distillation_losses(with_empty(own, 5000), with_empty(other, 5000))
    assert many.box < distillation_losses(own, other).box / 10


@pytest.mark.parametrize("normalize", KINDS)
def test_no_gradient_flows_into_the_teacher(normalize: Normalization) -> None:
    own, other = leaves(outputs(seed=1)), leaves(outputs(seed=2))
    sum(distillation_losses(own, other, normalize=normalize)).backward()
    assert all(value.grad is not None and value.grad.any() for value in own)
    assert all(value.grad is None for value in other)


class TwoHalves(Processes):
    """Stands for two processes of which the other has this mass."""

    def average(self, value: torch.Tensor) -> torch.Tensor:
        return (value + 7.0) / 2


@pytest.mark.parametrize("normalize", ["foreground", "focal"])
def test_terms_are_divided_by_the_mass_of_all_processes(normalize: Normalization) -> None:
    own, other = outputs(seed=1), outputs(seed=2)
    mass = float(other.logits.softmax(-1)[..., 1].sum())
    alone = distillation_losses(own, other, normalize=normalize)
    together = distillation_losses(own, other, normalize=normalize, processes=TwoHalves(count=2))
    for one, both in zip(alone, together, strict=True):
        assert float(both) == pytest.approx(float(one) * mass / ((mass + 7) / 2), rel=1e-5)


class TwoWithout(Processes):
    """Stands for two processes that see no face."""

    def average(self, value: torch.Tensor) -> torch.Tensor:
        return value


@pytest.mark.parametrize("normalize", ["foreground", "focal"])
def test_two_processes_without_faces_are_divided_by_one_together(normalize: Normalization) -> None:
    own, other = outputs(seed=1, images=1, anchors=1), outputs(seed=2, images=1, anchors=1)
    other.logits[..., 1] = other.logits[..., 0] - 3
    alone = distillation_losses(own, other, normalize=normalize)
    together = distillation_losses(own, other, normalize=normalize, processes=TwoWithout(count=2))
    for one, both in zip(alone, together, strict=True):
        assert float(both) == pytest.approx(2 * float(one), rel=1e-5)


def test_agreement_is_the_share_of_the_teachers_faces_that_the_student_sees() -> None:
    def seeing(*faces: int) -> RawOutputs:
        logits = torch.zeros(1, 6, 2)
        logits[..., 0] = 1.0
        for face in faces:
            logits[0, face, 1] = 2.0
        return RawOutputs(torch.zeros(1, 6, 4), logits, torch.zeros(1, 6, 10))

    assert float(agreement(seeing(0, 1, 5), seeing(0, 1, 2, 3))) == 0.5
    assert float(agreement(seeing(5), seeing(0))) == 0.0
    assert float(agreement(seeing(0), seeing())) == 1.0
    assert float(agreement(seeing(2, 3), seeing(2, 3))) == 1.0
