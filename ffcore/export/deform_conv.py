"""Deformable convolution as ONNX operators."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ffcore.models.blocks.deform_conv import DeformableUnit, DeformConvOperator


def onnx_deform_conv2d(
    x: Tensor,
    weight: Tensor,
    *,
    offset: Tensor,
    mask: Tensor,
    stride: int = 1,
    padding: int = 1,
    dilation: int = 1,
    offset_groups: int = 1,
) -> Tensor:
    """Stands for `ffcore.models.blocks.deform_conv.deform_conv2d` in a graph that is being exported.

    Arguments are the same; the channels may also be parted in groups with offsets and a mask of their own.
    The node ``DeformConv`` exists from opset 19 on and has the same order of
    offsets (dy before dx, taps row by row) and the same treatment of the border.
    """
    batch, _, height, width = offset.shape
    result: Tensor = torch.onnx.ops.symbolic(
        "DeformConv",
        (x, weight, offset, None, mask),
        attrs={
            "kernel_shape": list(weight.shape[2:]),
            "strides": [stride, stride],
            "pads": [padding] * 4,
            "dilations": [dilation, dilation],
            "group": 1,
            "offset_group": offset_groups,
        },
        dtype=x.dtype,
        shape=(batch, weight.shape[0], height, width),
        version=19,
    )
    return result


def grid_sample_deform_conv2d(
    x: Tensor,
    weight: Tensor,
    *,
    offset: Tensor,
    mask: Tensor,
    stride: int = 1,
    padding: int = 1,
    dilation: int = 1,
) -> Tensor:
    """The same from operators that every engine knows: GridSample, a product, and a 1×1 convolution.

    Arguments are those of `ffcore.models.blocks.deform_conv.deform_conv2d`. All taps are sampled at once, one
    below the other.
    """
    batch, channels, height, width = x.shape
    rows, columns = weight.shape[2:]
    taps = rows * columns
    out_height, out_width = offset.shape[2:]
    offset = offset.reshape(batch, taps, 2, out_height, out_width)

    def along(axis: int, out_cells: int, length: int) -> Tensor:
        """Where each tap looks along one axis, as GridSample counts: -1 and 1 are the borders."""
        numbers = torch.arange(taps, device=x.device, dtype=x.dtype)
        tap = torch.floor(numbers / columns) if axis == 0 else torch.remainder(numbers, columns)
        start = torch.arange(out_cells, device=x.device, dtype=x.dtype) * stride - padding
        start = start.reshape(-1, 1) if axis == 0 else start
        position = offset[:, :, axis] + (tap * dilation).reshape(taps, 1, 1) + start
        return ((2 * position + 1) / length - 1).reshape(batch, taps * out_height, out_width)

    grid = torch.stack([along(1, out_width, width), along(0, out_height, height)], dim=-1)
    sampled = F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    sampled = sampled.reshape(batch, channels, taps, out_height, out_width) * mask.unsqueeze(1)
    kernel = weight.reshape(weight.shape[0], channels * taps, 1, 1)
    return F.conv2d(sampled.reshape(batch, channels * taps, out_height, out_width), kernel)


@contextmanager
def deform_conv_operator(network: nn.Module, operator: DeformConvOperator) -> Iterator[None]:
    """Gives every deformable unit of a network another operator for the length of a block.

    Args:
        network: Left as it was at the end.
        operator: With the signature of `deform_conv2d`.
    """
    units = [module for module in network.modules() if isinstance(module, DeformableUnit)]
    before = [unit.operator for unit in units]
    try:
        for unit in units:
            unit.operator = operator
        yield
    finally:
        for unit, earlier in zip(units, before, strict=True):
            unit.operator = earlier
