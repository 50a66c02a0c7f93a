"""The neck: a weighted bidirectional feature pyramid (Tan et al. 2020, EfficientDet, section 3)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ffcore.config.network import BiFPNKind
from ffcore.models.blocks.conv import ConvNorm
from ffcore.models.blocks.pooling import PlainMaxPool, ZeroPaddedMaxPool


class WeightedFusion(nn.Module):
    """Swish of a sum of maps with learned weights that are positive and add up to (almost) one.

    Args:
        count: How many weights there are. There may be more weights than maps: the surplus only
            enters the sum that normalises (``p5_w2`` of the published networks has one such element).
    """

    eps = 1e-4  # EfficientDet, equation 3

    def __init__(self, count: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(count))

    def forward(self, *maps: Tensor) -> Tensor:
        """Fuses maps of one shape."""
        weight = F.relu(self.weight)
        weight = weight / (weight.sum() + self.eps)
        total = weight[0] * maps[0]
        for i, x in enumerate(maps[1:], start=1):
            total = total + weight[i] * x
        return F.silu(total)


class SeparableBlock(nn.Module):
    """Depthwise 3×3, pointwise 1×1 with bias, normalisation; no activation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.pointwise = ConvNorm(channels, channels, bias=True, eps=1e-3, momentum=0.01)

    def forward(self, x: Tensor) -> Tensor:
        """Runs the block."""
        return self.pointwise(self.depthwise(x))  # type: ignore[no-any-return]


class LightSeparableBlock(nn.Module):
    """Depthwise 3×3, normalisation, ReLU, pointwise 1×1, normalisation; no bias (v2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = ConvNorm(
            channels, channels, kernel=3, groups=channels, momentum=0.01, activation=nn.ReLU(inplace=True)
        )
        self.pointwise = ConvNorm(channels, channels, momentum=0.01)

    def forward(self, x: Tensor) -> Tensor:
        """Runs the block."""
        return self.pointwise(self.depthwise(x))  # type: ignore[no-any-return]


class Projections(nn.Module):
    """Brings backbone maps to the width of the pyramid.

    Args:
        widths: Channels of C3, C4, C5.
        channels: Channels of the pyramid.
        bias: Whether the convolutions have a bias.
        second_pair: Whether the bottom-up path sees C4 and C5 through projections of its own.
    """

    def __init__(self, widths: Sequence[int], channels: int, *, bias: bool, second_pair: bool) -> None:
        super().__init__()

        def project(width: int) -> ConvNorm:
            return ConvNorm(width, channels, bias=bias, eps=1e-3, momentum=0.01)

        self.p3, self.p4, self.p5 = (project(width) for width in widths)
        self.p4_again = project(widths[1]) if second_pair else None
        self.p5_again = project(widths[2]) if second_pair else None

    def forward(self, c3: Tensor, c4: Tensor, c5: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Gives P3, P4, P5 of the top-down path and P4, P5 of the bottom-up path."""
        p4, p5 = self.p4(c4), self.p5(c5)
        p4_again = p4 if self.p4_again is None else self.p4_again(c4)
        p5_again = p5 if self.p5_again is None else self.p5_again(c5)
        return self.p3(c3), p4, p5, p4_again, p5_again


class BiFPNLayer(nn.Module):
    """One top-down and one bottom-up pass over three levels.

    Args:
        channels: Width of the pyramid.
        kind: "separable" as published for v1, or "light" as in v2.
        projections: For the first repeat, whose inputs come from the backbone; later ones have none.
    """

    def __init__(self, channels: int, *, kind: BiFPNKind, projections: Projections | None = None) -> None:
        super().__init__()
        light = kind == "light"
        block = LightSeparableBlock if light else SeparableBlock
        self.projections = projections
        self.fuse4_up, self.conv4_up = WeightedFusion(2), block(channels)
        self.fuse3_up, self.conv3_up = WeightedFusion(2), block(channels)
        self.fuse4_down, self.conv4_down = WeightedFusion(3), block(channels)
        self.fuse5_down, self.conv5_down = WeightedFusion(3), block(channels)
        self.down = PlainMaxPool() if light else ZeroPaddedMaxPool()
        self.p5_sees_p4_up = light

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Mixes the levels of strides 8, 16, 32."""
        if self.projections is None:
            p3, p4, p5 = levels
            p4_again, p5_again = p4, p5
        else:
            p3, p4, p5, p4_again, p5_again = self.projections(*levels)
        p4_up = self.conv4_up(self.fuse4_up(p4, _upsample(p5, like=p4)))
        o3 = self.conv3_up(self.fuse3_up(p3, _upsample(p4_up, like=p3)))
        o4 = self.conv4_down(self.fuse4_down(p4_again, p4_up, self.down(o3)))
        extra = [self.down(p4_up)] if self.p5_sees_p4_up else []
        o5 = self.conv5_down(self.fuse5_down(p5_again, self.down(o4), *extra))
        return [o3, o4, o5]


def bifpn(widths: Sequence[int], channels: int, *, kind: BiFPNKind, repeats: int) -> nn.Sequential:
    """The whole pyramid: `repeats` layers, the first of which projects the backbone's maps.

    Args:
        widths: Channels of C3, C4, C5.
        channels: Width of the pyramid.
        kind: Which of the two forms.
        repeats: How many layers.
    """
    light = kind == "light"
    projections = Projections(widths, channels, bias=not light, second_pair=not light)
    return nn.Sequential(
        *(
            BiFPNLayer(channels, kind=kind, projections=projections if r == 0 else None)
            for r in range(repeats)
        )
    )


def _upsample(x: Tensor, *, like: Tensor) -> Tensor:
    """Nearest neighbour to the exact size of another map, so that odd sizes work."""
    return F.interpolate(x, size=like.shape[-2:], mode="nearest")
