"""Faces and outputs that the tests of this folder share."""

from __future__ import annotations

import torch
from torch import Tensor

from ffcore.losses import AnchorGrid, Targets
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
