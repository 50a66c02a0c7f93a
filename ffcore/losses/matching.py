"""Which anchor answers for which face (Liu et al. 2016, SSD, section 2.2, as published for FeatherFace)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ffcore.losses.anchor_grid import AnchorGrid
from ffcore.losses.targets import Targets

VALID_IOU = 0.2
"""A face whose best anchor overlaps it less than this claims no anchor of its own."""


class Matches(NamedTuple):
    """The outcome of matching for B images and A anchors."""

    face: Tensor
    """(B, A) int64: index of the face that the anchor belongs to; meaningless where not positive."""
    positive: Tensor
    """(B, A) bool: the anchor answers for that face; otherwise it is background."""


@torch.no_grad()
def match_anchors(targets: Targets, grid: AnchorGrid, *, threshold: float = 0.35) -> Matches:
    """Assigns every anchor to a face or to the background, for a whole batch at once.

    An anchor takes the face that it overlaps most (the first of equals) and is positive from
    `threshold` on. The best anchor of every *valid* face is positive whatever its overlap. Last, the
    best anchor of every face, valid or not, is given to that face, a later face winning: so a tiny face
    can take the best anchor of another. An image without a valid face is all background.

    Args:
        targets: Faces with area; `Targets.from_rows` drops others.
        grid: The anchors.
        threshold: IoU from which an anchor is positive.
    """
    batch, count = targets.is_face.shape
    device = grid.table.device
    if count == 0:
        shape = (batch, len(grid))
        return Matches(
            face=torch.zeros(shape, dtype=torch.long, device=device),
            positive=torch.zeros(shape, dtype=torch.bool, device=device),
        )
    # padding has no area and overlaps nothing; a face always wins against it, being an earlier one
    overlap = grid.iou(targets.boxes.flatten(0, 1)).view(batch, count, -1)  # (B, G, A)
    best_overlap, best_anchor = _first_largest(overlap)  # (B, G)
    anchor_overlap = overlap.amax(dim=1)  # (B, A)
    valid = (best_overlap >= VALID_IOU) & targets.is_face
    # one entry more takes what padding and invalid faces would write
    spare = len(grid)
    claimed = torch.zeros(batch, spare + 1, dtype=torch.bool, device=device)
    claimed.scatter_(1, best_anchor.masked_fill(~valid, spare), True)
    owner = torch.full((batch, spare + 1), -1, dtype=torch.long, device=device)
    order = torch.arange(count, device=device).expand(batch, count)
    owner.scatter_reduce_(1, best_anchor.masked_fill(~targets.is_face, spare), order, reduce="amax")
    owner = owner[:, :spare]
    positive = (anchor_overlap >= threshold) | claimed[:, :spare]
    positive &= valid.any(dim=1, keepdim=True)
    # which face it is matters for the few that are positive only; the first of equal faces
    image, anchor = positive.nonzero(as_tuple=True)
    face = owner.clamp(min=0)
    face[image, anchor] = torch.where(
        owner[image, anchor] >= 0, owner[image, anchor], overlap[image, :, anchor].argmax(dim=1)
    )
    return Matches(face=face, positive=positive)


def _first_largest(overlap: Tensor) -> tuple[Tensor, Tensor]:
    """Largest value of each row of (B, G, A) and the first place that has it: two (B, G).

    As ``max(dim=2)``, whose search for the place is slow; the value alone is found with vector
    instructions, and few places have it.
    """
    largest = overlap.amax(dim=2)
    # rows of zeros have it everywhere; their first place is 0
    has_it = overlap == largest.masked_fill(largest == 0, -1).unsqueeze(-1)
    image, row, place = has_it.nonzero(as_tuple=True)
    first = torch.full_like(largest, overlap.shape[2], dtype=torch.long)
    first.view(-1).scatter_reduce_(0, image * overlap.shape[1] + row, place, reduce="amin")
    return largest, first.masked_fill(largest == 0, 0)
