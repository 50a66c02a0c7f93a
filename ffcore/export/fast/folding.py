"""Convolutions that take in what stands beside them: normalisation, shuffles, scales, groups."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ffcore.models.blocks.conv import ConvNorm


def make_conv(
    weight: Tensor,
    bias: Tensor | None,
    *,
    stride: Sequence[int] | int = 1,
    padding: Sequence[int] | int = 0,
    groups: int = 1,
) -> nn.Conv2d:
    """A convolution from its numbers.

    Args:
        weight: (O, C / groups, K, L), of any precision; stored as float32.
        bias: (O,) or None.
        stride: Of the convolution.
        padding: Zeros on both sides.
        groups: Of the convolution.
    """
    conv = nn.Conv2d(
        weight.shape[1] * groups,
        weight.shape[0],
        (weight.shape[2], weight.shape[3]),
        stride=stride,  # type: ignore[arg-type]
        padding=padding,  # type: ignore[arg-type]
        groups=groups,
        bias=bias is not None,
    )
    conv.weight = nn.Parameter(weight.detach().float().contiguous(), requires_grad=False)
    if bias is not None:
        conv.bias = nn.Parameter(bias.detach().float().contiguous(), requires_grad=False)
    return conv


def fold_norm(unit: ConvNorm) -> nn.Conv2d:
    """The convolution that computes convolution and normalisation of a unit; its activation is not in it.

    Args:
        unit: In evaluation mode; left as it is.
    """
    conv, bn = unit.conv, unit.bn
    assert bn.running_mean is not None  # torch's types allow none
    assert bn.running_var is not None
    scale = bn.weight.double() / (bn.running_var.double() + bn.eps).sqrt()
    bias = bn.bias.double() - bn.running_mean.double() * scale
    if conv.bias is not None:
        bias = bias + conv.bias.double() * scale
    return like(conv, conv.weight.double() * scale[:, None, None, None], bias)


def fold_all_norms(module: nn.Module) -> None:
    """Folds the normalisation of every `ConvNorm` below a module into its convolution, in place."""
    for unit in module.modules():
        if isinstance(unit, ConvNorm) and isinstance(unit.bn, nn.BatchNorm2d):
            unit.conv = fold_norm(unit)
            unit.bn = nn.Identity()  # type: ignore[assignment]  # forward calls it all the same


def like(conv: nn.Conv2d, weight: Tensor, bias: Tensor | None) -> nn.Conv2d:
    """A convolution with the geometry of another one and weights of the same shape."""
    return make_conv(
        weight,
        bias,
        stride=conv.stride,
        padding=conv.padding,  # type: ignore[arg-type]  # never one of torch's words here
        groups=conv.groups,
    )


def join_groups(conv: nn.Conv2d, *, width: int = 8) -> nn.Conv2d:
    """The same convolution in fewer groups, so that each has a multiple of `width` channels in and out.

    Weights between channels that were strangers are zero. Runtimes that keep channels in blocks of 8 only
    take such groups in their layout.

    Args:
        conv: A grouped convolution.
        width: Of a block.
    """
    inside, outside = conv.in_channels // conv.groups, conv.out_channels // conv.groups
    joined = next(
        n
        for n in range(1, conv.groups + 1)
        if conv.groups % n == 0 and (n == conv.groups or not (inside * n % width or outside * n % width))
    )
    groups = conv.groups // joined
    weight = conv.weight.new_zeros(groups, joined, outside, joined, inside, *conv.weight.shape[2:])
    parts = conv.weight.detach().view(groups, joined, outside, inside, *conv.weight.shape[2:])
    for i in range(joined):
        weight[:, i, :, i] = parts[:, i]
    shape = (conv.out_channels, inside * joined, *conv.weight.shape[2:])
    return make_conv(
        weight.reshape(shape),
        conv.bias,
        stride=conv.stride,
        padding=conv.padding,  # type: ignore[arg-type]
        groups=groups,
    )


def permute_inputs(conv: nn.Conv2d, order: Tensor) -> nn.Conv2d:
    """The convolution that computes ``conv(x[:, order])`` from ``x``.

    Args:
        conv: Without groups.
        order: (C,) integers.
    """
    weight = torch.empty_like(conv.weight)
    weight[:, order] = conv.weight.detach()
    return like(conv, weight, conv.bias)


def scale_channels(channels: int, factor: float) -> nn.Conv2d:
    """A depthwise 1×1 convolution that multiplies with one number.

    In a runtime's own layout of channels there is nothing else that does, and a sum is added on the way.
    """
    return make_conv(torch.full((channels, 1, 1, 1), factor), None, groups=channels)
