"""How far the outputs of a student are from those of its teacher."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ffcore.distributed import Processes
from ffcore.models.blocks.heads import RawOutputs

Normalization = Literal["all", "foreground", "focal"]
"""Over which anchors the terms are averaged."""


class DistillationTerms(NamedTuple):
    """The three terms; scalars, 0 for a student that says what its teacher says."""

    classification: Tensor
    box: Tensor
    landmark: Tensor


def distillation_losses(
    student: RawOutputs,
    teacher: RawOutputs,
    *,
    normalize: Normalization = "all",
    temperature: float = 4.0,
    gamma: float = 2.0,
    importance: Tensor | None = None,
    processes: Processes | None = None,
) -> DistillationTerms:
    """Compares raw outputs of B images and A anchors.

    With T the temperature, p and q the probabilities of a face by teacher and student, p_T and q_T those of
    logits divided by T, and KL and CE over the two classes:

    - "all", the documents: T² · Σ KL(p_T ‖ q_T) / B over all anchors, which grows with the image; and the
      mean over all numbers of (student − teacher)², for boxes and for landmarks.
    - "foreground": the teacher's faces only. Every anchor weighs p, and M = max(1, Σ p):
      T² · Σ p · KL(p_T ‖ q_T) / M; Σ p · mean₄(Δ²) / M for boxes; Σ p · mean₁₀(Δ²) / M for landmarks. Where
      the teacher sees none, the student hears of the labels only.
    - "focal": class term Σ |p − q|^γ · CE(p, q) / M over all anchors, at temperature 1: those on which both
      agree, most of the background, count next to nothing, and a face that only the student sees counts as
      one that only the teacher sees. Boxes and landmarks as in "foreground".

    Where anchors are of different importance, that is a factor of each in every one of these sums and means.

    Args:
        student: Gradients flow into it.
        teacher: None flow into it.
        normalize: Which of these.
        temperature: Above 0.
        gamma: Of "focal", 1 or more.
        importance: (A,) float, see `AnchorGrid.importance`; 1 for all when None.
        processes: Who else has a part of the batch, if anybody: M becomes the mean over all of them, whose
            sum is at least 1, so that averaged gradients are those of the whole batch. All must call this
            together.

    Sources: Hinton et al. 2015, Distilling the Knowledge in a Neural Network, section 2; "focal" is equation
    6 of Li et al. 2020, Generalized Focal Loss, with the teacher's probability as the quality.
    """
    teacher = RawOutputs(*(value.detach() for value in teacher))
    given, wanted = face_logits(student), face_logits(teacher)
    probability = torch.sigmoid(wanted)
    soft = torch.sigmoid(wanted / temperature)
    if importance is None:
        importance = torch.ones_like(given[0])
    boxes, landmarks = _squares(student.boxes, teacher.boxes), _squares(student.landmarks, teacher.landmarks)
    if normalize == "all":
        divergence = _cross_entropy(given / temperature, soft) - _cross_entropy(wanted / temperature, soft)
        number = len(given) * importance.sum()
        return DistillationTerms(
            classification=temperature**2 * (importance * divergence).sum() / len(given),
            box=(importance * boxes).sum() / number,
            landmark=(importance * landmarks).sum() / number,
        )
    processes = processes or Processes()
    weight = importance * probability
    mass = processes.average(weight.sum()).clamp(min=1 / processes.count)
    if normalize == "focal":
        apart = (torch.sigmoid(given) - probability).abs().pow(gamma)
        classification = (importance * apart * _cross_entropy(given, probability)).sum()
    else:
        divergence = _cross_entropy(given / temperature, soft) - _cross_entropy(wanted / temperature, soft)
        classification = temperature**2 * (weight * divergence).sum()
    return DistillationTerms(
        classification=classification / mass,
        box=(weight * boxes).sum() / mass,
        landmark=(weight * landmarks).sum() / mass,
    )


@torch.no_grad()
def agreement(student: RawOutputs, teacher: RawOutputs, *, threshold: float = 0.5) -> Tensor:
    """Share of the teacher's faces that are faces to the student too.

    Args:
        student: B images, A anchors.
        teacher: Likewise.
        threshold: Probability above which an anchor is a face.

    Returns:
        Scalar, 0 to 1; 1 where the teacher sees no face.
    """
    level = torch.logit(torch.tensor(threshold))
    seen = face_logits(teacher) > level
    both = seen & (face_logits(student) > level)
    return torch.where(seen.any(), both.sum() / seen.sum().clamp(min=1), 1.0)


def face_logits(outputs: RawOutputs) -> Tensor:
    """(B, A) float32: logit of face − logit of background, of which the sigmoid is the probability."""
    logits = outputs.logits.float()
    return logits[..., 1] - logits[..., 0]


def _cross_entropy(logit: Tensor, probability: Tensor) -> Tensor:
    """Of a face with this probability, as seen by this logit; without a logarithm of 0 anywhere."""
    return F.softplus(logit) - probability * logit


def _squares(student: Tensor, teacher: Tensor) -> Tensor:
    """(B, A) float32: mean square of the differences of each anchor."""
    return (student.float() - teacher.float()).square().mean(dim=-1)
