"""The three heads of a level as one convolution, probabilities included."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ffcore.export.fast.folding import make_conv
from ffcore.export.fast.operators import Operators
from ffcore.models.blocks.heads import ANCHORS_PER_CELL, Heads, LevelHead

WIDTHS = {"boxes": 4, "logits": 2, "landmarks": 10}
"""Numbers of an anchor."""


class FastHeads(nn.Module):
    """One convolution a level; boxes, probabilities and landmarks are split when the levels are joined.

    The softmax of two logits is the sigmoid of their difference, and the difference is part of the
    weights: one channel for background minus face, one for face minus background.

    Args:
        heads: What it computes.
        operators: Of torch or of ONNX.
    """

    def __init__(self, heads: Heads, operators: Operators) -> None:
        super().__init__()
        self.operators = operators
        self.convs = nn.ModuleList(_joined(head) for head in heads)  # type: ignore[arg-type]
        self.width = ANCHORS_PER_CELL * sum(WIDTHS.values())

    def forward(self, levels: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes, probabilities, landmarks: (B, A, 4), (B, A, 2), (B, A, 10)."""
        cells = torch.cat(
            [
                self.operators.regroup(conv(x).permute(0, 2, 3, 1), self.width)
                for conv, x in zip(self.convs, levels, strict=True)
            ],
            dim=1,
        )
        parts = torch.split(cells, [ANCHORS_PER_CELL * each for each in WIDTHS.values()], dim=2)
        boxes, differences, landmarks = (
            self.operators.regroup(part, each) for part, each in zip(parts, WIDTHS.values(), strict=True)
        )
        return boxes, differences.sigmoid(), landmarks


def _joined(head: LevelHead) -> nn.Conv2d:
    convs = [getattr(head, name) for name in WIDTHS]
    weight, bias = ([getattr(conv, name).detach().double() for conv in convs] for name in ("weight", "bias"))
    weight[1], bias[1] = _differences(weight[1]), _differences(bias[1])
    return make_conv(torch.cat(weight), torch.cat(bias))


def _differences(logits: Tensor) -> Tensor:
    """Rows background, face, background, ... become what each has more than the other of its pair."""
    return logits - logits.view(-1, 2, *logits.shape[1:]).flip(1).reshape(logits.shape)
