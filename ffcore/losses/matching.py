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
