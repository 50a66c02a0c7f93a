"""Attention over the three levels: CBAM, its lighter form, and coordinate attention.

CBAM: Woo et al. 2018, arXiv 1807.06521. Coordinate attention: Hou et al. 2021, arXiv 2103.02907.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ffcore.config.network import Attention
from ffcore.models.blocks.conv import ConvNorm


class Gate(nn.Module, ABC):
    """A module that multiplies its input with maps computed from it."""

    @abstractmethod
    def maps(self, x: Tensor) -> dict[str, Tensor]:
        """The factors between 0 and 1, by name, each broadcastable to `x`."""

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W) -> (B, C, H, W)
        """Applies all factors."""
        for factor in self.maps(x).values():
            x = x * factor
        return x


class ChannelGate(Gate):
    """One factor per channel from its mean and its maximum (CBAM, section 3, equation 2)."""

    def __init__(self, channels: int, hidden: int, *, bias: bool) -> None:
        super().__init__()
        self.reduce = nn.Linear(channels, hidden, bias=bias)
        self.expand = nn.Linear(hidden, channels, bias=bias)

    def maps(self, x: Tensor) -> dict[str, Tensor]:
        """Gives ``channel``: (B, C, 1, 1)."""
        # mean and maximum over axes: pooling with a kernel as large as the map does not export dynamically
        gate = self._mlp(x.mean(dim=(2, 3))) + self._mlp(x.amax(dim=(2, 3)))
        return {"channel": gate.sigmoid()[:, :, None, None]}

    def _mlp(self, pooled: Tensor) -> Tensor:
        return self.expand(F.relu(self.reduce(pooled)))  # type: ignore[no-any-return]


class SpatialGate(Gate):
    """One factor per cell from mean and maximum over the channels (CBAM, section 3, equation 3)."""

    def __init__(self, *, mean_first: bool) -> None:
        super().__init__()
        self.mean_first = mean_first
        self.mix = ConvNorm(2, 1, kernel=7, momentum=0.01)

    def maps(self, x: Tensor) -> dict[str, Tensor]:
        """Gives ``spatial``: (B, 1, H, W)."""
        mean, highest = x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)
        stack = [mean, highest] if self.mean_first else [highest, mean]
        return {"spatial": self.mix(torch.cat(stack, dim=1)).sigmoid()}


class CoordinateGate(Gate):
    """One factor per channel and row, one per channel and column.

    As published with FeatherFace, not as in the paper: rows and columns pass through the shared
    transform one after the other (in training its normalisation sees two batches), the activation is
    ReLU, and no convolution has a bias.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(8, channels // 32)
        self.transform = ConvNorm(channels, hidden, activation=nn.ReLU(inplace=True))
        self.rows = nn.Conv2d(hidden, channels, 1, bias=False)
        self.columns = nn.Conv2d(hidden, channels, 1, bias=False)
        for conv in (self.transform.conv, self.rows, self.columns):
            nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")

    def maps(self, x: Tensor) -> dict[str, Tensor]:
        """Gives ``horizontal``: (B, C, H, 1), one factor a row, and ``vertical``: (B, C, 1, W)."""
        return {
            "horizontal": self.rows(self.transform(x.mean(dim=3, keepdim=True))).sigmoid(),
            "vertical": self.columns(self.transform(x.mean(dim=2, keepdim=True))).sigmoid(),
        }


class NoAttention(nn.Module):
    """Leaves the levels as they are."""

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Returns the levels."""
        return list(levels)


class CBAM(nn.Module):
    """relu(gated + input) on each level, the channel gate before the spatial one.

    Args:
        widths: Channels of the levels.
        light: Without biases, with a spatial gate that all levels share, and with the mean in front
            of the maximum in it (v2).
    """

    def __init__(self, widths: Sequence[int], *, light: bool) -> None:
        super().__init__()
        self.channel = nn.ModuleList(
            ChannelGate(width, max(width // 32, 4) if light else width // 16, bias=not light)
            for width in widths
        )
        self.spatial = nn.ModuleList(SpatialGate(mean_first=light) for _ in (widths[:1] if light else widths))

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Runs the attention on each level."""
        gated = []
        for i, x in enumerate(levels):
            attended = self.spatial[i % len(self.spatial)](self.channel[i](x))
            gated.append(F.relu(attended + x))
        return gated


class CoordinateAttention(nn.Module):
    """A coordinate gate on each level, without residual."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.gates = nn.ModuleList(CoordinateGate(width) for width in widths)

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Runs the attention on each level."""
        return [gate(x) for gate, x in zip(self.gates, levels, strict=True)]


def attention(kind: Attention, widths: Sequence[int]) -> nn.Module:
    """The attention stage of one place in a network.

    Args:
        kind: Which one, "none" included.
        widths: Channels of the three levels.

    Returns:
        A module from three maps to three maps of the same shapes.
    """
    if kind == "coordinate":
        return CoordinateAttention(widths)
    if kind == "none":
        return NoAttention()
    return CBAM(widths, light=kind == "cbam-plus")
