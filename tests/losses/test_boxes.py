from __future__ import annotations

import math
from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ffcore.geometry import decode_boxes, encode_boxes
from ffcore.losses.boxes import BoxLossKind, box_losses, box_quality

KINDS: tuple[BoxLossKind, ...] = get_args(BoxLossKind)
ANCHOR = torch.tensor([[100.0, 80.0, 32.0, 32.0]])

sides = st.floats(1, 200)
places = st.floats(0, 200)
boxes = st.tuples(places, places, sides, sides).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))
Box = tuple[float, float, float, float]


def offsets_of(box: Box) -> torch.Tensor:
    return encode_boxes(torch.tensor([box]), ANCHOR)


def by_hand(a: Box, b: Box) -> dict[str, float]:
    """The formulas of the papers in plain numbers."""
    wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    inter = max(wide, 0) * max(high, 0)
    areas = [(c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)]
    union = sum(areas) - inter
    iou = inter / union
    hull = (min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3]))
    hull_area = (hull[2] - hull[0]) * (hull[3] - hull[1])
    diagonal = (hull[2] - hull[0]) ** 2 + (hull[3] - hull[1]) ** 2
    apart = ((a[0] + a[2] - b[0] - b[2]) / 2) ** 2 + ((a[1] + a[3] - b[1] - b[3]) / 2) ** 2
    angles = [math.atan((c[2] - c[0]) / (c[3] - c[1])) for c in (a, b)]
    v = 4 / math.pi**2 * (angles[0] - angles[1]) ** 2
    trade_off = v / (1 - iou + v) if v else 0
    return {
        "iou": iou,
        "giou": 1 - (iou - (hull_area - union) / hull_area),
        "diou": 1 - iou + apart / diagonal,
        "ciou": 1 - iou + apart / diagonal + trade_off * v,
    }


@given(first=boxes, second=boxes)
@settings(max_examples=150, deadline=None)
def test_overlap_losses_are_the_formulas_of_their_papers(first: Box, second: Box) -> None:
    wanted = by_hand(first, second)
    predicted, target = offsets_of(first), offsets_of(second)
    assert float(box_quality(predicted, target)) == pytest.approx(wanted["iou"], abs=1e-4)
    for kind in ("giou", "diou", "ciou"):
        assert float(box_losses(predicted, target, kind=kind)) == pytest.approx(wanted[kind], abs=1e-4), kind


@pytest.mark.parametrize("kind", KINDS)
@given(box=boxes)
@settings(max_examples=40, deadline=None)
def test_a_perfect_prediction_costs_nothing(kind: BoxLossKind, box: Box) -> None:
    assert abs(float(box_losses(offsets_of(box), offsets_of(box), kind=kind))) < 1e-5
    assert float(box_quality(offsets_of(box), offsets_of(box))) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_smooth_l1_is_half_the_square_near_and_the_distance_far(kind: BoxLossKind) -> None:
    predicted, target = torch.tensor([[0.5, 3.0, 0.0, 0.0]]), torch.zeros(1, 4)
    loss = float(box_losses(predicted, target, kind=kind))
    assert (loss == pytest.approx(0.125 + 2.5)) == (kind == "smooth-l1")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [-1e4, -50.0, 0.0, 50.0, 1e4])
def test_extreme_predictions_have_finite_losses_and_gradients(kind: BoxLossKind, value: float) -> None:
    generator = torch.Generator().manual_seed(0)
    signs = torch.tensor([[1, 1, 1, 1], [0, 0, 1, 1], [0, 0, 1, -1], [1, -1, 1, -1], [1, 1, -1, -1]])
    predicted = (value * signs).requires_grad_()
    target = encode_boxes(
        torch.tensor([[99.0, 79.0, 101.0, 81.0]]).expand(5, 4), ANCHOR.expand(5, 4)
    ) + 1e-3 * torch.randn(5, 4, generator=generator)
    losses = box_losses(predicted, target, kind=kind)
    losses.sum().backward()
    assert torch.isfinite(losses).all()
    assert predicted.grad is not None
    assert torch.isfinite(predicted.grad).all()
    assert torch.isfinite(box_quality(predicted, target)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_descending_brings_the_box_to_the_face(kind: BoxLossKind) -> None:
    face = torch.tensor([[80.0, 70.0, 130.0, 110.0]])
    target = encode_boxes(face, ANCHOR)
    predicted = torch.zeros(1, 4, requires_grad=True)
    optimizer = torch.optim.Adam([predicted], lr=0.05)
    for _ in range(400):
        optimizer.zero_grad()
        box_losses(predicted, target, kind=kind).sum().backward()
        optimizer.step()
    torch.testing.assert_close(decode_boxes(predicted.detach(), ANCHOR), face, atol=1.0, rtol=0)
