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
    image, index = targets.is_face.nonzero(as_tuple=True)  # of every face
    pairs = grid.iou_pairs(targets.boxes[image, index], threshold=threshold)
    best = pairs.value.new_zeros(len(image)).scatter_reduce_(0, pairs.box, pairs.value, "amax")
    is_best = pairs.value == best[pairs.box]
    best_anchor = torch.full_like(
        image, len(grid)
    )  # the first of equals, and 0 for a face that overlaps none
    best_anchor.scatter_reduce_(0, pairs.box[is_best], pairs.anchor[is_best], "amin")
    best_anchor.masked_fill_(best == 0, 0)
    valid = best >= VALID_IOU
    used = valid.new_zeros(batch).index_fill_(0, image[valid], True)  # images with a valid face

    # from here on anchors are numbered through all images
    reaching = (pairs.value >= threshold) & used[image[pairs.box]]
    face_of, value = pairs.box[reaching], pairs.value[reaching]
    slot = image[face_of] * len(grid) + pairs.anchor[reaching]
    most = value.new_zeros(batch * len(grid)).scatter_reduce_(0, slot, value, "amax")
    takes = value == most[slot]
    face = index.new_zeros(batch * len(grid))
    face[slot] = count
    face.scatter_reduce_(0, slot[takes], index[face_of[takes]], "amin")
    best_slot = image * len(grid) + best_anchor
    face[best_slot] = -1
    face.scatter_reduce_(0, best_slot, index, "amax")
    positive = used.new_zeros(batch * len(grid))
    positive[torch.cat([slot, best_slot[valid]])] = True
    return Matches(face=face.view(batch, len(grid)), positive=positive.view(batch, len(grid)))


@torch.no_grad()
def settle(candidates: Tensor, value: Tensor, wanted: Tensor, targets: Targets, *, anchors: int) -> Matches:
    """Gives each anchor to one of the faces that want it, and a face that is left with none another one.

    An anchor that several faces want goes to the one that values it most, the first of equals. A face that
    is left with none then takes the best of its candidates that is still free; so a face loses only where
    every candidate is another's.

    Args:
        candidates: (N, K) int64: anchors that each of the N faces of all images may have.
        value: (N, K) float: how well they suit it; −inf for those that it cannot have.
        wanted: (N, K) bool: those that it asks for.
        targets: The faces, in the order of `is_face`.
        anchors: A, of each image.
    """
    image, index = targets.is_face.nonzero(as_tuple=True)
    nobody = len(image)
    slots = image[:, None] * anchors + candidates  # in the anchors of all images together
    owner = _award(slots, value, wanted, count=targets.is_face.shape[0] * anchors)
    # every round gives at least one anchor away, and there are few candidates
    while True:
        has_one = torch.zeros(nobody + 1, dtype=torch.bool, device=image.device)
        has_one[owner] = True
        free = value.masked_fill(owner[slots] != nobody, -torch.inf)
        wanted = is_best(free) & ~has_one[:nobody, None]
        if not wanted.any():
            break
        owner = torch.minimum(owner, _award(slots, value, wanted, count=len(owner)))
    face = torch.cat([index, index.new_zeros(1)])[owner]
    shape = (targets.is_face.shape[0], anchors)
    return Matches(face=face.view(shape), positive=(owner < nobody).view(shape))


def is_best(value: Tensor) -> Tensor:
    """(N, K) bool: a largest entry of each row, where there is one above −inf."""
    largest, place = value.max(dim=1, keepdim=True)
    return torch.zeros_like(value, dtype=torch.bool).scatter_(1, place, largest > -torch.inf)


def _award(slots: Tensor, value: Tensor, wanted: Tensor, *, count: int) -> Tensor:
    """(count,) int64: which of N faces gets a slot that several want, N where none does."""
    face, _ = wanted.nonzero(as_tuple=True)
    slot, offer = slots[wanted], value[wanted]
    largest = value.new_full((count,), -torch.inf).scatter_reduce_(0, slot, offer, reduce="amax")
    wins = offer == largest[slot]
    owner = torch.full((count,), len(slots), dtype=torch.long, device=slots.device)
    return owner.scatter_reduce_(0, slot[wins], face[wins], reduce="amin")
