"""Matching with a threshold for every face (Zhang et al. 2020, ATSS, section 3.3)."""

from __future__ import annotations

import torch

from ffcore.losses.anchor_grid import AnchorGrid
from ffcore.losses.matching import Matches, is_best, settle
from ffcore.losses.targets import Targets


@torch.no_grad()
def match_anchors_atss(targets: Targets, grid: AnchorGrid, *, nearest: int = 9) -> Matches:
    """Assigns anchors to faces by what is normal for each face, for a whole batch at once.

    Candidates of a face are the anchors of the `nearest` cells of every level, by the distance of centres
    in pixels. It gets those whose IoU reaches mean + standard deviation of its candidates and whose centre
    lies inside it, or its best candidate where there is none; of several faces the one that an anchor
    overlaps most gets it (`settle`).

    Args:
        targets: The faces.
        grid: The anchors.
        nearest: Cells of each level, 1 or more, all anchor sizes of a cell counting, as in the published
            code.
    """
    image, index = targets.is_face.nonzero(as_tuple=True)
    boxes = targets.boxes[image, index]
    candidates = grid.nearest(boxes, cells=nearest)  # (N, K)
    overlap = grid.iou(boxes, candidates)

    mean = overlap.mean(dim=1, keepdim=True)
    squares = (overlap - mean).square().sum(dim=1, keepdim=True)
    spread = (squares / max(1, overlap.shape[1] - 1)).sqrt()
    wanted = grid.inside(boxes, candidates) & (overlap >= mean + spread) & (overlap > 0)
    value = overlap.masked_fill(overlap <= 0, -torch.inf)
    wanted |= ~wanted.any(dim=1, keepdim=True) & is_best(value)
    return settle(candidates, value, wanted, targets, anchors=len(grid))
