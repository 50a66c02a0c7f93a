"""Which anchor answers for which face (Liu et al. 2016, SSD, section 2.2, as published for FeatherFace)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ffcore.losses.targets import Targets

VALID_IOU = 0.2
"""A face whose best anchor overlaps it less than this claims no anchor of its own."""


class Matches(NamedTuple):
    """The outcome of matching for B images and A anchors."""

    face: Tensor
    """(B, A) int64: index of the face that the anchor belongs to; meaningless where not positive."""
    positive: Tensor
    """(B, A) bool: the anchor answers for that face; otherwise it is background."""


def match_anchors(targets: Targets, anchors: Tensor, *, threshold: float = 0.35) -> Matches:
    """Assigns every anchor to a face or to the background, for a whole batch at once.

    An anchor takes the face that it overlaps most (the first of equals) and is positive from
    `threshold` on. The best anchor of every *valid* face is positive whatever its overlap. Last, the
    best anchor of every face, valid or not, is given to that face, a later face winning: so a tiny face
    can take the best anchor of another. An image without a valid face is all background.

    Args:
        targets: Faces with area; `Targets.from_rows` drops others.
        anchors: (A, 4) float, cx cy w h relative to the image.
        threshold: IoU from which an anchor is positive.
    """
    batch, count = targets.is_face.shape
    device = anchors.device
    if count == 0:
        shape = (batch, len(anchors))
        return Matches(
            face=torch.zeros(shape, dtype=torch.long, device=device),
            positive=torch.zeros(shape, dtype=torch.bool, device=device),
        )
    overlap = _iou(targets.boxes, anchors)  # (B, G, A)
    overlap = overlap.masked_fill_(~targets.is_face.unsqueeze(-1), -1.0)  # padding loses against any face
    best_overlap, best_anchor = overlap.max(dim=2)  # (B, G)
    anchor_overlap, face = overlap.max(dim=1)  # (B, A); the first of equal faces
    valid = best_overlap >= VALID_IOU
    # one entry more takes what padding and invalid faces would write
    spare = len(anchors)
    claimed = torch.zeros(batch, spare + 1, dtype=torch.bool, device=device)
    claimed.scatter_(1, best_anchor.masked_fill(~valid, spare), True)
    owner = torch.full((batch, spare + 1), -1, dtype=torch.long, device=device)
    order = torch.arange(count, device=device).expand(batch, count)
    owner.scatter_reduce_(1, best_anchor.masked_fill(~targets.is_face, spare), order, reduce="amax")
    owner = owner[:, :spare]
    face = torch.where(owner >= 0, owner, face)
    positive = (anchor_overlap >= threshold) | claimed[:, :spare]
    return Matches(face=face, positive=positive & valid.any(dim=1, keepdim=True))


def _iou(boxes: Tensor, anchors: Tensor) -> Tensor:
    """IoU of (B, G, 4) corner boxes with (A, 4) centre anchors: (B, G, A)."""
    half = anchors[:, 2:] / 2
    low = torch.maximum(boxes[..., None, :2], anchors[:, :2] - half)
    high = torch.minimum(boxes[..., None, 2:], anchors[:, :2] + half)
    inter = (high - low).clamp_(min=0).prod(dim=-1)
    size = boxes[..., 2:] - boxes[..., :2]
    area = (size[..., 0] * size[..., 1]).unsqueeze(-1)
    return inter / (area + anchors[:, 2] * anchors[:, 3] - inter)
