"""Context on one level: three receptive fields side by side (Najibi et al. 2017, SSH, section 3.2)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ffcore.config.network import SSHKind
from ffcore.models.blocks.conv import ConvNorm
from ffcore.models.blocks.deform_conv import DeformableUnit


class DeformableNorm(nn.Module):
    """Deformable unit, normalisation and, where one is given, an activation."""

    def __init__(self, in_channels: int, out_channels: int, *, activation: nn.Module | None = None) -> None:
        super().__init__()
        self.unit = DeformableUnit(in_channels, out_channels)
        self.bn = nn.BatchNorm2d(out_channels)
        self.activation = activation if activation is not None else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Runs the block."""
        return self.activation(self.bn(self.unit(x)))  # type: ignore[no-any-return]


class SSH(nn.Module):
    """Branches that see 3×3, 5×5 and 7×7 cells, joined and rectified; C channels in, C out.

    The 5×5 and 7×7 branches share their first convolution.

    Args:
        channels: C, a multiple of 4 ("deformable") or 16 ("grouped").
        kind: What the convolutions are.
    """

    def __init__(self, channels: int, *, kind: SSHKind) -> None:
        super().__init__()
        half, quarter = channels // 2, channels // 4
        self.conv3: nn.Module
        self.conv5_1: nn.Module
        self.conv5_2: nn.Module
        self.conv7_2: nn.Module
        self.conv7_3: nn.Module
        if kind == "deformable":
            # published: 0.1 up to 64 channels, 0 above
            slope = 0.1 if channels <= 64 else 0.0
            self.conv3 = DeformableNorm(channels, half)
            self.conv5_1 = DeformableNorm(channels, quarter, activation=nn.LeakyReLU(slope, inplace=True))
            self.conv5_2 = DeformableNorm(quarter, quarter)
            self.conv7_2 = DeformableNorm(quarter, quarter, activation=nn.LeakyReLU(slope, inplace=True))
            self.conv7_3 = DeformableNorm(quarter, quarter)
        else:
            self.conv3 = _reduced(channels, half)
            self.conv5_1 = _reduced(channels, quarter)
            self.conv5_2 = ConvNorm(quarter, quarter, kernel=3, groups=4)
            self.conv7_2 = ConvNorm(quarter, quarter, kernel=3, groups=4, activation=nn.ReLU(inplace=True))
            self.conv7_3 = ConvNorm(quarter, quarter, kernel=3, groups=4)

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W) -> (B, C, H, W)
        """Runs the module."""
        shared = self.conv5_1(x)
        branches = [self.conv3(x), self.conv5_2(shared), self.conv7_3(self.conv7_2(shared))]
        return F.relu(torch.cat(branches, dim=1))


def _reduced(in_channels: int, out_channels: int) -> nn.Sequential:
    """1×1 with ReLU, then 3×3 in 4 groups without activation."""
    return nn.Sequential(
        ConvNorm(in_channels, out_channels, activation=nn.ReLU(inplace=True)),
        ConvNorm(out_channels, out_channels, kernel=3, groups=4),
    )
