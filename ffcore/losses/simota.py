"""Matching by what the network says at the moment (Ge et al. 2021, YOLOX, arXiv 2107.08430, section 2.1)."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from ffcore.losses.anchor_grid import AnchorGrid
from ffcore.losses.boxes import predicted_iou
from ffcore.losses.matching import Matches, settle
from ffcore.losses.targets import Targets
from ffcore.models.blocks.heads import RawOutputs

IOU_COST = 3.0
"""Factor of −log IoU beside the cross-entropy of the class; the paper leaves it open, its code has 3."""
MOST = 10
"""The sum of so many of the largest IoUs is the number of anchors of a face, as in the published code."""
OUTSIDE = 100.0
"""More than anything else costs, unless logits are absurd: no centre outside a face is taken while one inside
is left. The published 100,000 would leave float32 no digits to tell those outside apart."""
_SMALLEST = 1e-8


@torch.no_grad()
def match_anchors_simota(
    targets: Targets,
    grid: AnchorGrid,
    outputs: RawOutputs,
    *,
    nearest: int = 25,
    variances: tuple[float, float] = (0.1, 0.2),
) -> Matches:
    """Assigns to each face the anchors that find it best already, for a whole batch at once.

    Candidates of a face are the anchors of the `nearest` cells of every level, by the distance of centres
    in pixels. It gets as many as the sum of the ten largest IoUs of their predicted boxes with it, rounded
    down and at least one: those that cost least. An anchor costs the cross-entropy of its class, as a
    face, minus three times the logarithm of that IoU, and more than any other where its centre is
    outside. Of several faces the one that an anchor costs least gets it (`settle`).

    Unlike matching by the anchors alone this gives faces smaller than an anchor several of them, beside the
    one or two whose centre is inside, and large faces no more than ten.

    Args:
        targets: The faces.
        grid: The anchors.
        outputs: Of the network, for the same images; no gradient flows into them.
        nearest: Cells of each level, 1 or more; 25 are those within two and a half cells or so, as in the
            published code.
        variances: Of the coding of boxes.
    """
    image, index = targets.is_face.nonzero(as_tuple=True)
    boxes = targets.boxes[image, index]
    candidates = grid.nearest(boxes, cells=nearest)  # (N, K)
    predicted = outputs.boxes[image[:, None], candidates].float()
    overlap = predicted_iou(predicted, grid.table[candidates], boxes[:, None], variances=variances)
    logits = outputs.logits[image[:, None], candidates].float()

    cost = F.softplus(logits[..., 0] - logits[..., 1]) - IOU_COST * overlap.clamp(min=_SMALLEST).log()
    cost = cost + OUTSIDE * ~grid.inside(boxes, candidates)
    most = min(MOST, cost.shape[1])
    number = overlap.topk(most, dim=1).values.sum(dim=1, keepdim=True).floor().clamp(min=1)
    cheapest = cost.topk(most, dim=1, largest=False).indices
    wanted = torch.zeros_like(cost, dtype=torch.bool)
    wanted.scatter_(1, cheapest, torch.arange(most, device=cost.device) < number)
    return settle(candidates, -cost, wanted, targets, anchors=len(grid))
