from __future__ import annotations

import pytest
import torch

from ffcore.losses import AnchorGrid, MultiBoxConfig, MultiBoxLoss, Targets, match_anchors
from ffcore.models.blocks.heads import RawOutputs

GRID = AnchorGrid.of(64, 64)
FACE = torch.cat([torch.tensor([[0.2, 0.2, 0.6, 0.6]]), torch.full((1, 10), 0.4), torch.ones(1, 1)], dim=1)


def outputs(images: int) -> RawOutputs:
    generator = torch.Generator().manual_seed(0)
    shapes = ((images, len(GRID), k) for k in (4, 2, 10))
    return RawOutputs(*(torch.randn(shape, generator=generator).requires_grad_() for shape in shapes))


def test_neutral_anchors_are_no_background_but_stay_faces_where_they_are() -> None:
    targets = Targets.from_rows([FACE])
    positive = match_anchors(targets, GRID).positive
    found = outputs(1)
    loss = MultiBoxLoss(MultiBoxConfig(negatives_per_positive=100))
    everything = loss(found, targets, GRID)
    nothing = loss(found, targets, GRID, neutral=torch.ones_like(positive))
    assert nothing.box == everything.box
    assert nothing.landmark == everything.landmark
    only = -found.logits.log_softmax(-1)[positive][:, 1].mean()
    assert float(nothing.classification.detach()) == pytest.approx(float(only.detach()))
    assert everything.classification > nothing.classification
    nothing.total.backward()
    assert found.logits.grad is not None
    assert not found.logits.grad[~positive].any()


def test_neutral_and_ignored_anchors_add_up() -> None:
    targets = Targets.from_rows([FACE])
    shape = (1, len(GRID))
    upper = torch.tensor([[[0.0, 0.0, 1.0, 0.5]]])
    lower = (GRID.table[:, 1] > 0.4).expand(shape)
    found = outputs(1)
    loss = MultiBoxLoss(MultiBoxConfig(negatives_per_positive=100))
    loss(found, targets, GRID, ignored=upper, neutral=lower).total.backward()
    assert found.logits.grad is not None
    touched = found.logits.grad.any(dim=-1) & ~match_anchors(targets, GRID).positive
    assert touched.any()
    assert not (touched & lower).any()
    inside = GRID.coverage_pairs(upper[0], share=0.5).anchor
    assert len(inside)
    assert not touched[0, inside].any()
