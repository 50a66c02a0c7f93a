"""How far predicted boxes are from faces: offset by offset, or by overlap."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ffcore.geometry.coder import decode_boxes

BoxLossKind = Literal["smooth-l1", "giou", "diou", "ciou"]

LARGEST_RATIO = 64.0
"""Sides are decoded as at most so many times the anchor's, and at least so small a part of it.

Faces from a quarter of the smallest anchor to a few times the largest are far within; beyond, the
exponential would overflow and overlaps become 0 / 0.
"""


def box_losses(
    predicted: Tensor,
    target: Tensor,
    *,
    kind: BoxLossKind = "smooth-l1",
    variances: tuple[float, float] = (0.1, 0.2),
) -> Tensor:
    """Loss of each predicted box.

    Sources: smooth L1 of Girshick 2015 (Fast R-CNN, equation 3), summed over the offsets; 1 − GIoU of
    Rezatofighi et al. 2019; 1 − DIoU and 1 − CIoU of Zheng et al. 2020, the trade-off of CIoU without
    gradient, as published.

    Args:
        predicted: (N, 4) float32, offsets from the anchors.
        target: (N, 4) float32, offsets of the faces from the same anchors.
        kind: Which one.
        variances: Of the coding.

    Returns:
        (N,), 0 where both are equal.
    """
    if kind == "smooth-l1":
        return F.smooth_l1_loss(predicted, target, reduction="none").sum(dim=1)
    box, face = _in_anchor_units(predicted, variances), _in_anchor_units(target, variances)
    inter, union = _shared_and_joint(box, face)
    iou = inter / union
    # the smallest box around both
    around = torch.maximum(box[:, 2:], face[:, 2:]) - torch.minimum(box[:, :2], face[:, :2])
    if kind == "giou":
        hull = _area(around)
        return 1 - iou + (hull - union) / hull
    apart = ((box[:, :2] + box[:, 2:]) - (face[:, :2] + face[:, 2:])).square().sum(dim=1) / 4
    loss = 1 - iou + apart / around.square().sum(dim=1)
    if kind == "diou":
        return loss
    shape = 4 / math.pi**2 * (_slope(face) - _slope(box)).square()
    with torch.no_grad():
        trade_off = shape / (1 - iou + shape).clamp(min=1e-9)
    return loss + trade_off * shape


@torch.no_grad()
def box_quality(predicted: Tensor, target: Tensor, *, variances: tuple[float, float] = (0.1, 0.2)) -> Tensor:
    """IoU of each predicted box with its face: (N,), 0 to 1, without gradient; arguments as above."""
    inter, union = _shared_and_joint(
        _in_anchor_units(predicted, variances), _in_anchor_units(target, variances)
    )
    return inter / union


@torch.no_grad()
def predicted_iou(
    predicted: Tensor, anchors: Tensor, boxes: Tensor, *, variances: tuple[float, float] = (0.1, 0.2)
) -> Tensor:
    """IoU of each predicted box with any box, one to one, without gradient.

    Args:
        predicted: (..., 4) float32, offsets from the anchors.
        anchors: (..., 4), cx cy w h relative to the image.
        boxes: (..., 4), xyxy relative to the image, with area.
        variances: Of the coding.

    Returns:
        (...), 0 to 1.
    """
    inter, union = _shared_and_joint(
        decode_boxes(_limited(predicted, variances), anchors, variances=variances), boxes
    )
    return inter / union


def _in_anchor_units(offsets: Tensor, variances: tuple[float, float]) -> Tensor:
    """(N, 4) boxes, xyxy, as seen from an anchor of side 1 around 0.

    Anchors are square in pixels, so distances and shapes are those of the picture, whatever its own shape.
    """
    unit = offsets.new_tensor([0.0, 0.0, 1.0, 1.0])
    return decode_boxes(_limited(offsets, variances), unit, variances=variances)


def _limited(offsets: Tensor, variances: tuple[float, float]) -> Tensor:
    """(..., 4) offsets, the sides of their boxes within `LARGEST_RATIO` of the anchor's."""
    limit = math.log(LARGEST_RATIO) / variances[1]
    return torch.cat([offsets[..., :2], offsets[..., 2:].clamp(-limit, limit)], dim=-1)


def _shared_and_joint(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Areas of intersection and union of (..., 4) boxes with area, one to one."""
    low = torch.maximum(first[..., :2], second[..., :2])
    high = torch.minimum(first[..., 2:], second[..., 2:])
    inter = _area((high - low).clamp(min=0))
    return inter, _area(first[..., 2:] - first[..., :2]) + _area(second[..., 2:] - second[..., :2]) - inter


def _area(sides: Tensor) -> Tensor:
    return sides[..., 0] * sides[..., 1]


def _slope(boxes: Tensor) -> Tensor:
    """Angle of the diagonal to the vertical, which stands for the shape of a box."""
    sides = boxes[:, 2:] - boxes[:, :2]
    return torch.atan2(sides[:, 0], sides[:, 1])
