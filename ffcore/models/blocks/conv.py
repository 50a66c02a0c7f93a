"""Convolution followed by batch normalisation, the unit of almost every block."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class ConvNorm(nn.Module):
    """Convolution, batch normalisation and, where one is given, an activation.

    Args:
        in_channels: Channels in.
        out_channels: Channels out.
        kernel: Kernel size; the padding keeps height and width at stride 1.
        stride: Stride of the convolution.
        groups: Groups of the convolution.
        bias: Whether the convolution has a bias. It is redundant before the normalisation, yet counted
            in the published networks.
        eps: Of the normalisation.
        momentum: Of the normalisation.
        activation: What follows, or None.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        bias: bool = False,
        eps: float = 1e-5,
        momentum: float = 0.1,
        activation: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels, out_channels, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=bias
        )
        self.bn = nn.BatchNorm2d(out_channels, eps=eps, momentum=momentum)
        self.activation = activation if activation is not None else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:  # (B, in, H, W) -> (B, out, ceil(H/stride), ceil(W/stride))
        """Runs the block."""
        held = self.training and not self.bn.training
        y = self._joined(x) if held else self.bn(self.conv(x))
        return self.activation(y)  # type: ignore[no-any-return]

    def _joined(self, x: Tensor) -> Tensor:
        """Both as one convolution, for training with held statistics: a pass less, and a map less to keep.

        Evaluation does without: there the last digit is that of the published networks.
        """
        conv, bn = self.conv, self.bn
        assert bn.running_mean is not None
        assert bn.running_var is not None
        scale = bn.weight * (bn.running_var + bn.eps).rsqrt()
        shift = bn.bias - bn.running_mean * scale
        if conv.bias is not None:
            shift = shift + conv.bias * scale
        weight = conv.weight * scale[:, None, None, None]
        return F.conv2d(x, weight, shift, conv.stride, conv.padding, groups=conv.groups)
