"""Modulated deformable convolution (Zhu et al. 2019, Deformable ConvNets v2, arXiv 1811.11168).

Sampling is linear, so it commutes with the mixing of channels. Instead of collecting C channels at 9
sampling points per output cell and multiplying afterwards, each input cell is first multiplied with the
9 taps of the kernel; what is left is a weighted sum of 36 rows (9 taps × 4 corners) for each output
cell. That is exactly an embedding bag with per-sample weights: a compiled, threaded operator with a
compiled, threaded backward pass on every device, which gathers O instead of C numbers a point.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ffcore.errors import ConfigError

DeformConvOperator = Callable[..., Tensor]
"""Anything with the signature of `deform_conv2d`."""


def deform_conv2d(
    x: Tensor,
    weight: Tensor,
    *,
    offset: Tensor,
    mask: Tensor,
    stride: int = 1,
    padding: int = 1,
    dilation: int = 1,
) -> Tensor:
    """Modulated deformable convolution with one offset group and no bias.

    Args:
        x: (B, C, H, W).
        weight: (O, C, K, L).
        offset: (B, 2·K·L, H', W') in cells; channel 2k is dy, 2k + 1 is dx of tap k, taps row by row.
            Not clamped: a point beyond the border contributes nothing, each of its four corners by itself.
        mask: (B, K·L, H', W'), the factor of each tap.
        stride: Of the sampling grid.
        padding: Cells around the input at which the grid begins.
        dilation: Distance of the taps.

    Returns:
        (B, O, H', W').

    Raises:
        ConfigError: Shapes disagree.
    """
    batch, channels, height, width = x.shape
    out_channels, weight_channels, rows, columns = weight.shape
    taps = rows * columns
    out_size = tuple(
        (n + 2 * padding - dilation * (k - 1) - 1) // stride + 1
        for n, k in ((height, rows), (width, columns))
    )
    if (
        weight_channels != channels
        or tuple(offset.shape) != (batch, 2 * taps, *out_size)
        or tuple(mask.shape) != (batch, taps, *out_size)
    ):
        raise ConfigError(
            f"deformable convolution of {tuple(x.shape)} with {tuple(weight.shape)}: offset "
            f"{(batch, 2 * taps, *out_size)} and mask {(batch, taps, *out_size)} are needed, got "
            f"{tuple(offset.shape)} and {tuple(mask.shape)}"
        )
    # (B·H·W, C) × (C, taps·O): row p·taps + k holds cell p as tap k sees it
    cells = x.permute(0, 2, 3, 1).reshape(-1, channels)
    table = (cells @ weight.permute(1, 2, 3, 0).reshape(channels, taps * out_channels)).view(-1, out_channels)
    index, share = _corners(
        offset,
        mask,
        size=(height, width),
        kernel=(rows, columns),
        stride=stride,
        padding=padding,
        dilation=dilation,
    )
    summed = F.embedding_bag(index, table, per_sample_weights=share.to(table.dtype), mode="sum")
    return summed.view(batch, *out_size, out_channels).permute(0, 3, 1, 2)


def _corners(
    offset: Tensor,
    mask: Tensor,
    *,
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: int,
    padding: int,
    dilation: int,
) -> tuple[Tensor, Tensor]:
    """Rows of the table and their shares: two (B·H'·W', taps·4) tensors, int32 and floating."""
    batch, _, out_height, out_width = offset.shape
    taps = kernel[0] * kernel[1]
    device = offset.device
    # half precision cannot tell the cells of a large map apart
    dtype = torch.promote_types(offset.dtype, torch.float32)
    offset = offset.to(dtype).view(batch, taps, 2, out_height, out_width)
    tap = torch.arange(taps, device=device)

    def along(axis: int, tap_position: Tensor) -> tuple[Tensor, Tensor]:
        """Of one axis: the two neighbouring cells and their shares, (B, taps, H', W', 2)."""
        length = offset.shape[3 + axis]
        grid = torch.arange(length, device=device, dtype=dtype) * stride - padding
        grid = grid.view(-1, 1) if axis == 0 else grid
        position = offset[:, :, axis] + (tap_position.to(dtype) * dilation).view(taps, 1, 1) + grid
        low = position.detach().floor()
        fraction = position - low
        cell = torch.stack([low, low + 1], dim=-1)
        share = torch.stack([1 - fraction, fraction], dim=-1)
        share = share * ((cell >= 0) & (cell < size[axis]))
        # what lies outside has no share, but its index must still be one; so must that of a NaN
        return cell.clamp(0, size[axis] - 1).nan_to_num(0.0).to(torch.int32), share

    y, y_share = along(0, tap // kernel[1])
    x, x_share = along(1, tap % kernel[1])
    share = y_share.unsqueeze(-1) * x_share.unsqueeze(-2) * mask.to(dtype)[..., None, None]
    first = torch.arange(batch, device=device, dtype=torch.int32).view(-1, 1, 1, 1, 1, 1) * (
        size[0] * size[1]
    )
    index = (y.unsqueeze(-1) * size[1] + x.unsqueeze(-2) + first) * taps
    index = index + tap.to(torch.int32).view(1, -1, 1, 1, 1, 1)
    order = (0, 2, 3, 1, 4, 5)  # (B, taps, H', W', 2, 2) -> cells first
    return index.permute(order).reshape(-1, taps * 4), share.permute(order).reshape(-1, taps * 4)


def default_operator(x: Tensor) -> DeformConvOperator:
    """The operator for tensors of one device: torchvision's kernel on CUDA where it loads, ours elsewhere."""
    if x.is_cuda:
        from ffcore.models.blocks.torchvision_ops import torchvision_deform_conv2d

        return torchvision_deform_conv2d() or deform_conv2d
    return deform_conv2d


class DeformableUnit(nn.Module):
    """3×3 deformable convolution whose offsets and factors are convolutions of the same input.

    Offsets start at zero and factors at 1 (2·sigmoid(0)), so that an untrained unit is an ordinary
    convolution.

    Args:
        in_channels: Channels in.
        out_channels: Channels out.
    """

    operator: DeformConvOperator | None = None
    """Replaces the default operator; exporting sets it to the one that its format knows."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.offset_conv = nn.Conv2d(in_channels, 18, 3, padding=1)
        self.modulator_conv = nn.Conv2d(in_channels, 9, 3, padding=1)
        self.regular_conv = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        for parameter in (*self.offset_conv.parameters(), *self.modulator_conv.parameters()):
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:  # (B, in, H, W) -> (B, out, H, W)
        """Runs the unit."""
        # one convolution for both: the input is unfolded once
        weight, bias = (
            torch.cat(pair)
            for pair in zip(self.offset_conv.parameters(), self.modulator_conv.parameters(), strict=True)
        )
        sampling = F.conv2d(x, weight, bias, padding=1)
        operator = self.operator or default_operator(x)
        return operator(
            x, self.regular_conv.weight, offset=sampling[:, :18], mask=2 * sampling[:, 18:].sigmoid()
        )
