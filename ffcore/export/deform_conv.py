"""Deformable convolution as an ONNX operator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
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
