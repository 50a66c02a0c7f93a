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
