"""Weighted fusions that stay in the layout of the convolutions around them."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ffcore.export.fast.folding import like, scale_channels
from ffcore.models.blocks.bifpn import BiFPNLayer, LightSeparableBlock, SeparableBlock, WeightedFusion

LEAST = 1e-3
"""The first map gives the scale of a sum when its weight is at least this part of all; it can be zero."""


class FastFusion(nn.Module):
    """`WeightedFusion`, divided by a number that the block behind it takes in.

    The first map is not multiplied at all: w0·x0 + w1·x1 is w0 · (x0 + (w1 / w0)·x1). The other factors
    are depthwise 1×1 convolutions, into which runtimes fuse the sum, and so is the multiplication with w0
    in front of the sigmoid, into which they fuse the sigmoid.

    Args:
        fusion: What it computes.
        channels: Of the maps.
        count: How many maps there are.
    """

    def __init__(self, fusion: WeightedFusion, channels: int, *, count: int) -> None:
        super().__init__()
        weight = F.relu(fusion.weight.detach().double())
        weight = weight / (weight.sum() + fusion.eps)
        first = float(weight[0])
        self.scale = first if first > LEAST else 1.0
        """What this module's result must be multiplied with."""
        factors = [float(each) / self.scale for each in weight[:count]]
        self.first = nn.Identity() if first > LEAST else scale_channels(channels, factors[0])
        self.others = nn.ModuleList(scale_channels(channels, factor) for factor in factors[1:])
        self.copy = scale_channels(channels, self.scale)

    def forward(self, *maps: Tensor) -> Tensor:
        """Fuses maps of one shape."""
        total = self.first(maps[0])
        for factor, x in zip(self.others, maps[1:], strict=True):
            total = total + factor(x)
        return total * self.copy(total).sigmoid()  # type: ignore[no-any-return]


def speed_up_fusions(layer: BiFPNLayer) -> None:
    """Replaces the fusions of a pyramid layer, in place; its normalisations must have been folded."""
    fusions = {"4_up": 2, "3_up": 2, "4_down": 3, "5_down": 3 if layer.p5_sees_p4_up else 2}
    for name, count in fusions.items():
        block = getattr(layer, f"conv{name}")
        conv = _depthwise(block)
        fusion = FastFusion(getattr(layer, f"fuse{name}"), conv.in_channels, count=count)
        scaled = like(conv, conv.weight.double() * fusion.scale, conv.bias)
        if isinstance(block, LightSeparableBlock):
            block.depthwise.conv = scaled
        else:
            block.depthwise = scaled
        setattr(layer, f"fuse{name}", fusion)


def _depthwise(block: LightSeparableBlock | SeparableBlock) -> nn.Conv2d:
    return block.depthwise.conv if isinstance(block, LightSeparableBlock) else block.depthwise
