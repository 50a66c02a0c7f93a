from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from ffcore.errors import ConfigError
from ffcore.losses import focal_losses, quality_focal_losses, set_prior
from ffcore.models.blocks.heads import Heads


@given(difference=st.floats(-20, 20), face=st.booleans(), gamma=st.sampled_from([0.0, 0.5, 2.0]))
def test_focal_loss_is_the_formula_of_the_paper(difference: float, face: bool, gamma: float) -> None:
    right = 1 / (1 + math.exp(-difference if face else difference))
    wanted = -(0.25 if face else 0.75) * (1 - right) ** gamma * math.log(right)
    found = float(focal_losses(torch.tensor(difference, dtype=torch.float64), face=face, gamma=gamma))
    assert found == pytest.approx(wanted, rel=1e-6, abs=1e-15)


def test_focal_loss_with_gamma_zero_is_cross_entropy() -> None:
    logits = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    difference = logits[:, 1] - logits[:, 0]
    for face in (False, True):
        wanted = 0.5 * F.cross_entropy(logits, torch.full((50,), int(face)), reduction="none")
        torch.testing.assert_close(focal_losses(difference, face=face, alpha=0.5, gamma=0.0), wanted)


@given(difference=st.floats(-20, 20), quality=st.floats(0, 1), beta=st.sampled_from([1.0, 2.0, 3.0]))
def test_quality_focal_loss_is_the_formula_of_the_paper(
    difference: float, quality: float, beta: float
) -> None:
    p = 1 / (1 + math.exp(-difference))
    entropy = -((1 - quality) * math.log(1 - p) + quality * math.log(p))
    value = torch.tensor(difference, dtype=torch.float64)
    found = float(quality_focal_losses(value, torch.tensor(quality, dtype=torch.float64), beta=beta))
    assert found == pytest.approx(abs(quality - p) ** beta * entropy, rel=1e-5, abs=1e-12)


def test_quality_zero_everywhere_needs_no_tensor_of_zeros() -> None:
    difference = torch.linspace(-30, 30, 61)
    torch.testing.assert_close(
        quality_focal_losses(difference, None), quality_focal_losses(difference, torch.zeros(61))
    )


def test_quality_focal_loss_is_least_at_the_quality() -> None:
    quality = torch.tensor([0.1, 0.5, 0.8])
    difference = torch.logit(quality).requires_grad_()
    losses = quality_focal_losses(difference, quality)
    losses.sum().backward()
    torch.testing.assert_close(losses.detach(), torch.zeros(3))
    torch.testing.assert_close(difference.grad, torch.zeros(3))


@pytest.mark.parametrize("value", [-1e4, -200.0, 0.0, 200.0, 1e4])
@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0, 2.0])
def test_extreme_logits_have_finite_losses_and_gradients(value: float, gamma: float) -> None:
    difference = torch.full((3,), value, requires_grad=True)
    quality = torch.tensor([0.0, 0.4, 1.0])
    loss = focal_losses(difference, face=True, gamma=gamma) + focal_losses(
        difference, face=False, gamma=gamma
    )
    loss = loss + quality_focal_losses(difference, quality, beta=1 + gamma)
    loss = loss + quality_focal_losses(difference, None, beta=1 + gamma)
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert difference.grad is not None
    assert torch.isfinite(difference.grad).all()


def test_a_prior_is_what_heads_answer_before_they_have_learnt_anything() -> None:
    heads = Heads(8)
    boxes = [head.boxes.bias.clone() for head in heads]
    set_prior(heads, 0.02)
    outputs = heads([torch.zeros(1, 8, n, n) for n in (4, 2, 1)])
    torch.testing.assert_close(outputs.logits.softmax(dim=-1)[..., 1], torch.full((1, 42), 0.02))
    assert all(torch.equal(head.boxes.bias, bias) for head, bias in zip(heads, boxes, strict=True))


def test_a_prior_needs_heads_and_a_probability() -> None:
    with pytest.raises(ConfigError, match="no heads"):
        set_prior(nn.Linear(2, 2))
    with pytest.raises(ConfigError, match=r"probability = 1\.0"):
        set_prior(Heads(8), 1.0)
