"""The heads: from three maps to class logits, box offsets and landmark offsets of every anchor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

ANCHORS_PER_CELL = 2


class RawOutputs(NamedTuple):
    """What a network returns, for A anchors in the order level, row, column, size.

    Offsets are coded against the anchors with the variances of `ffcore.geometry.anchors`.
    """

    boxes: Tensor
    """(B, A, 4) float: offsets of centre and size."""
    logits: Tensor
    """(B, A, 2) float: background and face, before softmax."""
    landmarks: Tensor
    """(B, A, 10) float: offsets of five points, x before y."""


class LevelHead(nn.Module):
    """Three 1×1 convolutions with bias on one level; levels share nothing."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.boxes = nn.Conv2d(channels, ANCHORS_PER_CELL * 4, 1)
        self.logits = nn.Conv2d(channels, ANCHORS_PER_CELL * 2, 1)
        self.landmarks = nn.Conv2d(channels, ANCHORS_PER_CELL * 10, 1)

    def forward(self, x: Tensor) -> RawOutputs:  # (B, C, H, W) -> 3 × (B, H·W·2, k)
        """Runs the head."""
        return RawOutputs(
            boxes=_per_anchor(self.boxes(x), 4),
            logits=_per_anchor(self.logits(x), 2),
            landmarks=_per_anchor(self.landmarks(x), 10),
        )


class Heads(nn.ModuleList):
    """One head a level, their anchors joined in the order of the strides."""

    def __init__(self, channels: int, *, levels: int = 3) -> None:
        super().__init__(LevelHead(channels) for _ in range(levels))

    def forward(self, levels: Sequence[Tensor]) -> RawOutputs:
        """Runs all heads."""
        parts = [head(x) for head, x in zip(self, levels, strict=True)]
        boxes, logits, landmarks = (torch.cat(values, dim=1) for values in zip(*parts, strict=True))
        return RawOutputs(boxes, logits, landmarks)


def _per_anchor(x: Tensor, values: int) -> Tensor:
    """Channel a·k + j of a cell becomes value j of its anchor a."""
    return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, values)
