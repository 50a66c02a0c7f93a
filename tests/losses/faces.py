"""Faces and outputs that the tests of this folder share."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ffcore.losses import (
    AnchorGrid,
    Matches,
    MultiBoxConfig,
    Targets,
    match_anchors,
    match_anchors_atss,
    match_anchors_simota,
)
from ffcore.models.blocks.heads import RawOutputs

GRID = AnchorGrid.of(128, 128)


def rows_of(boxes: Tensor, known: Tensor | None = None) -> Tensor:
    """Label rows of (G, 4) boxes, all with landmarks unless (G,) says otherwise by −1."""
    known = torch.ones(len(boxes)) if known is None else known
    return torch.cat([boxes, boxes.repeat(1, 3)[:, :10], known[:, None]], dim=1)


def random_boxes(generator: torch.Generator, count: int, spread: float) -> Tensor:
    """(count, 4) boxes that start in the image, most of them small."""
    low = torch.rand(count, 2, generator=generator)
    return torch.cat([low, low + spread * torch.rand(count, 2, generator=generator).square() + 1e-3], dim=1)


def targets_of(*images: Tensor) -> Targets:
    """Targets of images given as (G, 4) boxes."""
    return Targets.from_rows([rows_of(boxes) for boxes in images])


def some_outputs(batch: int = 1, *, grid: AnchorGrid = GRID, seed: int = 4, scale: float = 1.0) -> RawOutputs:
    """Normally distributed outputs."""
    generator = torch.Generator().manual_seed(seed)
    values = [scale * torch.randn(batch, len(grid), k, generator=generator) for k in (4, 2, 10)]
    return RawOutputs(*values)


def matches_of(config: MultiBoxConfig, outputs: RawOutputs, targets: Targets) -> Matches:
    """What the matching of a configuration gives."""
    if config.matching == "simota":
        return match_anchors_simota(targets, GRID, outputs)
    return (match_anchors_atss if config.matching == "atss" else match_anchors)(targets, GRID)


def cells_near(box: list[float], grid: AnchorGrid, nearest: int) -> list[int]:
    """The anchors of the nearest cells of every level, in plain numbers."""
    table = grid.table.double().tolist()
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2

    def distance(a: int) -> float:
        return math.hypot((table[a][0] - x) * grid.width, (table[a][1] - y) * grid.height)

    chosen: list[int] = []
    for level in grid.levels:
        cells = range(level.start, level.start + len(level), level.sizes)
        for cell in sorted(cells, key=distance)[:nearest]:
            chosen += range(cell, cell + level.sizes)
    return chosen


def shared_out(costs: list[dict[int, float]], wanted: list[list[int]], grid: AnchorGrid) -> list[int]:
    """The face that gets each anchor, or −1, one by one: the cheapest offer; then the best that is free.

    Args:
        costs: For each face, of the anchors that it may have.
        wanted: For each face, those that it asks for.
        grid: The anchors.
    """
    owner = [-1] * len(grid)
    offers = [(costs[g][a], g, a) for g, own in enumerate(wanted) for a in own]
    while offers:
        for _, g, a in sorted(offers):
            if owner[a] == -1:
                owner[a] = g
        offers = []
        for g, cost in enumerate(costs):
            free = [a for a in cost if owner[a] == -1]
            if g not in owner and free:
                best = min(free, key=lambda a: cost[a])
                offers.append((cost[best], g, best))
    return owner


def dense_iou(boxes: Tensor, grid: AnchorGrid) -> Tensor:
    """(G, A) IoU of every box with every anchor, in the plainest way."""
    inter = _inter(boxes, grid)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return inter / (areas[:, None] + grid.table[:, 2] * grid.table[:, 3] - inter)


def dense_coverage(boxes: Tensor, grid: AnchorGrid) -> Tensor:
    """(G, A) share of every anchor that lies in every box."""
    return _inter(boxes, grid) / (grid.table[:, 2] * grid.table[:, 3])


def _inter(boxes: Tensor, grid: AnchorGrid) -> Tensor:
    half = grid.table[:, 2:] / 2
    low = torch.maximum(boxes[:, None, :2], grid.table[:, :2] - half)
    high = torch.minimum(boxes[:, None, 2:], grid.table[:, :2] + half)
    sides = (high - low).clamp(min=0)
    return sides[..., 0] * sides[..., 1]


def varied_boxes(generator: torch.Generator, count: int, grid: AnchorGrid) -> Tensor:
    """Boxes as they make trouble: on whole pixels, beyond the edge, twice, as slivers; otherwise random."""
    kind = int(torch.randint(6, (1,), generator=generator))
    spread = [0.02, 0.1, 0.5, 2.0][int(torch.randint(4, (1,), generator=generator))]
    boxes = random_boxes(generator, count, spread)
    size = torch.tensor([grid.width, grid.height]).repeat(2)
    if kind == 0:
        low = (boxes[:, :2] * size[:2]).round()
        extent = ((boxes[:, 2:] - boxes[:, :2]) * size[:2]).round().clamp(min=1)
        boxes = torch.cat([low, low + extent], dim=1) / size
    elif kind == 1:
        boxes = boxes - 0.7
    elif kind == 2:
        boxes = boxes.repeat(2, 1)
    elif kind == 3:
        boxes = torch.cat([boxes[:, :2], boxes[:, :2] + 0.01 + boxes[:, 2:] * torch.tensor([1, 1e-4])], dim=1)
    return boxes
