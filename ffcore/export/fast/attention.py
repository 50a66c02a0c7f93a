"""CBAM with one pass over the map for each thing that must be known of it.

Channels stand last where maxima and means over them are taken (their numbers lie side by side there), the
two factors are multiplied with each other before the map is touched, and the 7×7 convolution to a single
channel computes eight neighbouring cells as eight channels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ffcore.export.fast.folding import fold_norm, make_conv, scale_channels
from ffcore.export.fast.operators import Operators
from ffcore.models.blocks.attention import CBAM, ChannelGate, SpatialGate

SIDE_BY_SIDE = 8
"""Cells of a row that the spatial convolution computes at once: a block of channels."""


class FastChannelGate(nn.Module):
    """A channel gate as 1×1 convolutions, the sum of both pooled maps taken where it is narrow.

    expand(a) + expand(b) is expand(a + b) but for the bias, which counts twice.

    Args:
        gate: What it computes.
        operators: Of torch or of ONNX.
    """

    def __init__(self, gate: ChannelGate, operators: Operators) -> None:
        super().__init__()
        self.operators = operators
        reduce, expand = gate.reduce, gate.expand
        # whole blocks of channels keep a runtime's layout; the surplus stays zero
        surplus = -reduce.out_features % SIDE_BY_SIDE
        down = F.pad(reduce.weight.detach(), (0, 0, 0, surplus))
        up = F.pad(expand.weight.detach(), (0, surplus))
        down_bias = None if reduce.bias is None else F.pad(reduce.bias.detach(), (0, surplus))
        up_bias = None if expand.bias is None else 2 * expand.bias.detach()
        self.reduce = make_conv(down[:, :, None, None], down_bias)
        self.expand = make_conv(up[:, :, None, None], up_bias)

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W) -> (B, C, 1, 1)
        """The factors."""
        mean, highest = self.operators.global_mean(x), self.operators.global_max(x)
        hidden = F.relu(self.reduce(mean)) + F.relu(self.reduce(highest))
        return self.expand(hidden).sigmoid()  # type: ignore[no-any-return]


class FastSpatialGate(nn.Module):
    """A spatial gate that takes cells of channels and computes eight of them at a time.

    The k×k convolution to one channel becomes one of stride 8 along the row to eight channels: channel j is
    the kernel moved by j cells. A convolution of that shape fills the vectors that a single channel leaves
    empty.

    Args:
        gate: What it computes.
        operators: Of torch or of ONNX.
    """

    def __init__(self, gate: SpatialGate, operators: Operators) -> None:
        super().__init__()
        self.operators = operators
        conv = fold_norm(gate.mix)
        kernel = conv.kernel_size[1]
        self.border = kernel // 2
        moved = torch.zeros(SIDE_BY_SIDE, 2, kernel, kernel + SIDE_BY_SIDE - 1)
        # mean first, maximum second
        weight = conv.weight.detach() if gate.mean_first else conv.weight.detach().flip(1)
        for j in range(SIDE_BY_SIDE):
            moved[j, :, :, j : j + kernel] = weight[0]
        assert conv.bias is not None  # fold_norm makes one
        self.conv = make_conv(moved, conv.bias.detach().expand(SIDE_BY_SIDE))

    def forward(self, cells: Tensor) -> Tensor:  # (B, H, W, C) -> (B, H, W)
        """The factors."""
        stack = torch.stack([cells.mean(dim=-1), cells.amax(dim=-1)], dim=1)
        near, far = self.border, self.border + SIDE_BY_SIDE - 1
        assert self.conv.bias is not None
        eights = self.operators.conv(
            stack,
            self.conv.weight,
            self.conv.bias,
            strides=(1, SIDE_BY_SIDE),
            pads=(near, near, near, far),
        ).sigmoid()  # (B, 8, H, ceil(W/8))
        return self.operators.crop_rows(self.operators.join_last(eights.permute(0, 2, 3, 1)), cells)


class FastLevel(nn.Module):
    """CBAM of one level: relu(x · channel · spatial + x), as relu(x · (1 + channel · spatial)).

    Args:
        channel: The gate of the level.
        spatial: The spatial one, in its fast form; levels may share it.
        operators: Of torch or of ONNX.
        rectify: Whether the result is rectified by a convolution of its own, which keeps it in the layout of
            the convolutions where several of them follow.
    """

    def __init__(
        self, channel: ChannelGate, spatial: FastSpatialGate, operators: Operators, *, rectify: bool
    ) -> None:
        super().__init__()
        self.operators = operators
        self.channel = FastChannelGate(channel, operators)
        self.spatial = spatial
        self.copy = scale_channels(channel.expand.out_features, 1.0) if rectify else None

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W) -> (B, C, H, W)
        """Runs the attention."""
        channel = self.channel(x).permute(0, 2, 3, 1)  # (B, 1, 1, C)
        cells = x.permute(0, 2, 3, 1)
        # along a whole row, since a factor of C numbers would be fetched anew for every cell
        gated = cells * channel.expand(-1, -1, cells.shape[2], -1)
        spatial = self.operators.regroup(self.spatial(gated)[:, None], None)  # (B, 1, H·W)
        # channel · spatial + 1 · 1 for every cell and channel
        factor = self.operators.matmul(
            _with_ones(spatial).transpose(1, 2), _with_ones(self.operators.regroup(channel, None))
        )
        scaled = cells * self.operators.reshape_like(factor, gated)
        if self.copy is None:
            return F.relu(scaled).permute(0, 3, 1, 2)
        return F.relu(self.copy(scaled.permute(0, 3, 1, 2)))


def _with_ones(rows: Tensor) -> Tensor:  # (B, 1, N) -> (B, 2, N)
    return F.pad(rows, (0, 0, 0, 1), value=1.0)


class FastCBAM(nn.Module):
    """`CBAM` of all levels.

    Args:
        attention: What it computes.
        operators: Of torch or of ONNX.
        rectify: See `FastLevel`.
    """

    def __init__(self, attention: CBAM, operators: Operators, *, rectify: bool) -> None:
        super().__init__()
        spatial = [FastSpatialGate(gate, operators) for gate in attention.spatial]  # type: ignore[arg-type]
        self.levels = nn.ModuleList(
            FastLevel(channel, spatial[i % len(spatial)], operators, rectify=rectify)  # type: ignore[arg-type]
            for i, channel in enumerate(attention.channel)
        )

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        """Runs the attention on each level."""
        return [level(x) for level, x in zip(self.levels, levels, strict=True)]
