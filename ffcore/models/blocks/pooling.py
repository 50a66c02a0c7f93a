"""The two poolings that halve a map inside the pyramid."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ZeroPaddedMaxPool(nn.Module):
    """3×3 maximum at stride 2 over an input bordered with zeros, the TensorFlow "same" way.

    The zeros take part in the maximum: a border window that is negative throughout gives 0. That is not
    what ``MaxPool2d(padding=1)`` computes, which pads with −inf, and with the published weights the
    difference moves scores by up to 0.04.

    The border is joined on rather than padded on, because runtimes rewrite Pad → MaxPool into a pooling
    with its own (−inf) padding: ``Pad_Fusion`` of ONNX Runtime 1.31 does so silently at its default
    level. There is no rule for Concat → MaxPool.
    """

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W) -> (B, C, ceil(H/2), ceil(W/2))
        """Runs the pooling."""
        return F.max_pool2d(_zero_border(_zero_border(x, dim=2), dim=3), kernel_size=3, stride=2)


class PlainMaxPool(nn.Module):
    """3×3 maximum at stride 2, padded with −inf on both sides (v2)."""

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W) -> (B, C, ceil(H/2), ceil(W/2))
        """Runs the pooling."""
        return F.max_pool2d(x, kernel_size=3, stride=2, padding=1)


def _zero_border(x: Tensor, *, dim: int) -> Tensor:
    """Puts a line of zeros on both sides, or on the far side only when the length is even.

    A second line on the far side of an even length is never looked at; with it the result has n + 2
    lines in both cases, so that a graph of open size can prove the shape of what is pooled from it.
    """
    length = x.shape[dim]
    line = torch.zeros_like(x.narrow(dim, 0, 1))
    bordered = torch.cat([line, x, line, line], dim=dim)
    return bordered.narrow(dim, 1 - length % 2, length + 2)
