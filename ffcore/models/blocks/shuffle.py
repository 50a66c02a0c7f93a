"""Channel shuffle and the bottlenecks behind it (Zhang et al. 2018, ShuffleNet, section 3.1)."""

from __future__ import annotations

from torch import Tensor, nn

from ffcore.config.network import ShuffleKind
from ffcore.models.blocks.conv import ConvNorm


class EvenOddShuffle(nn.Module):
    """Even-numbered channels first, then the odd ones.

    The published networks shuffle "2 groups" by viewing the channels as (C/2, 2), the reverse of
    ShuffleNet's (2, C/2).
    """

    def forward(self, x: Tensor) -> Tensor:
        """Reorders the channels."""
        return _transpose_channels(x, rows=x.shape[1] // 2, columns=2)


class GroupShuffle(nn.Module):
    """ShuffleNet's shuffle: output channel g + groups·i is input channel C/groups·g + i."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        """Reorders the channels."""
        return _transpose_channels(x, rows=self.groups, columns=x.shape[1] // self.groups)


def shuffle_block(kind: ShuffleKind, channels: int) -> nn.Sequential:
    """What stands between SSH and the heads of one level.

    Args:
        kind: "plain" only shuffles; "bottleneck" (v1-original) adds 1×1, depthwise 3×3, 1×1;
            "grouped" (v2) shuffles 4 groups and adds two grouped 1×1.
        channels: Width, kept.
    """
    half = channels // 2
    if kind == "plain":
        return nn.Sequential(EvenOddShuffle())
    if kind == "bottleneck":
        return nn.Sequential(
            EvenOddShuffle(),
            ConvNorm(channels, half),
            ConvNorm(half, half, kernel=3, groups=half),
            ConvNorm(half, channels, activation=nn.ReLU(inplace=True)),
        )
    return nn.Sequential(
        GroupShuffle(4),
        ConvNorm(channels, half, groups=4, activation=nn.ReLU(inplace=True)),
        ConvNorm(half, channels, groups=4, activation=nn.ReLU(inplace=True)),
    )


def _transpose_channels(x: Tensor, *, rows: int, columns: int) -> Tensor:
    batch, channels, height, width = x.shape
    return (
        x.reshape(batch, rows, columns, height, width).transpose(1, 2).reshape(batch, channels, height, width)
    )
