"""Matching with a threshold for every face (Zhang et al. 2020, ATSS, section 3.3)."""

from __future__ import annotations

import torch
from torch import Tensor

from ffcore.losses.anchor_grid import AnchorGrid, Level
from ffcore.losses.matching import Matches
from ffcore.losses.targets import Targets


@torch.no_grad()
def match_anchors_atss(targets: Targets, grid: AnchorGrid, *, nearest: int = 9) -> Matches:
    """Assigns anchors to faces by what is normal for each face, for a whole batch at once.

    Candidates of a face are the anchors of the `nearest` cells of every level, by the distance of centres
    in pixels. It gets those whose IoU reaches mean + standard deviation of its candidates and whose centre
    lies inside it, or its best candidate where there is none. An anchor that several faces get goes to
    the one that it overlaps most, the first of equals. A face that is left with none then takes the best
    of its candidates that is still free; so a face loses only where every candidate is another's.

    Args:
        targets: The faces.
        grid: The anchors.
        nearest: Cells of each level, 1 or more, all anchor sizes of a cell counting, as in the published
            code.
    """
    image, index = targets.is_face.nonzero(as_tuple=True)
    boxes = targets.boxes[image, index]
    candidates = torch.cat([_near(boxes, grid, level, nearest) for level in grid.levels], dim=1)  # (N, K)
    overlap = grid.iou(boxes, candidates)

    mean = overlap.mean(dim=1, keepdim=True)
    squares = (overlap - mean).square().sum(dim=1, keepdim=True)
    spread = (squares / max(1, overlap.shape[1] - 1)).sqrt()
    centres = grid.table[candidates, :2]
    inside = ((centres > boxes[:, None, :2]) & (centres < boxes[:, None, 2:])).all(dim=2)
    wanted = inside & (overlap >= mean + spread) & (overlap > 0)
    wanted |= ~wanted.any(dim=1, keepdim=True) & _is_best(overlap)

    nobody = len(boxes)
    slots = image[:, None] * len(grid) + candidates  # in the anchors of all images together
    owner = _award(slots, overlap, wanted, count=targets.is_face.shape[0] * len(grid))
    # every round gives at least one anchor away, and there are few candidates
    while True:
        has_one = torch.zeros(nobody + 1, dtype=torch.bool, device=boxes.device)
        has_one[owner] = True
        free = overlap.masked_fill(owner[slots] != nobody, 0)
        wanted = _is_best(free) & ~has_one[:nobody, None]
        if not wanted.any():
            break
        owner = torch.minimum(owner, _award(slots, overlap, wanted, count=len(owner)))
    positive = owner < nobody
    face = torch.cat([index, index.new_zeros(1)])[owner]
    shape = (targets.is_face.shape[0], len(grid))
    return Matches(face=face.view(shape), positive=positive.view(shape))


def _near(boxes: Tensor, grid: AnchorGrid, level: Level, nearest: int) -> Tensor:
    """(N, K) int64: the anchors of the cells nearest to the centres of (N, 4) boxes."""
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    # a cell among the nearest k is in one of the nearest k columns, and in one of the nearest k rows
    column, aside = _near_line(middle[:, 0] * grid.width / level.stride - 0.5, level.columns, nearest)
    row, above = _near_line(middle[:, 1] * grid.height / level.stride - 0.5, level.rows, nearest)
    distance = (above[:, :, None] + aside[:, None, :]).flatten(1)
    order = distance.argsort(dim=1, stable=True)[:, :nearest]
    cell = (row[:, :, None] * level.columns + column[:, None, :]).flatten(1).gather(1, order)
    sizes = torch.arange(level.sizes, device=boxes.device)
    return (level.start + cell[:, :, None] * level.sizes + sizes).flatten(1)


def _near_line(place: Tensor, count: int, nearest: int) -> tuple[Tensor, Tensor]:
    """The whole numbers from 0 to `count` − 1 next to each of (N,) places, and their squared distances."""
    nearest = min(nearest, count)
    start = (place - (nearest - 1) / 2).round().clamp(0, count - nearest)
    numbers = start[:, None] + torch.arange(nearest, device=place.device)
    return numbers.long(), (numbers - place[:, None]).square()


def _is_best(overlap: Tensor) -> Tensor:
    """(N, K) bool: a largest entry of each row, where that is above 0."""
    largest, place = overlap.max(dim=1, keepdim=True)
    return torch.zeros_like(overlap, dtype=torch.bool).scatter_(1, place, largest > 0)


def _award(slots: Tensor, overlap: Tensor, wanted: Tensor, *, count: int) -> Tensor:
    """(count,) int64: which of N faces gets a slot that several want, N where none does."""
    face, _ = wanted.nonzero(as_tuple=True)
    slot, value = slots[wanted], overlap[wanted]
    largest = overlap.new_zeros(count).scatter_reduce_(0, slot, value, reduce="amax")
    wins = value == largest[slot]
    owner = torch.full((count,), len(slots), dtype=torch.long, device=slots.device)
    return owner.scatter_reduce_(0, slot[wins], face[wins], reduce="amin")
