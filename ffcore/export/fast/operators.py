"""Operators that torch has no single word for, as torch computes them and as ONNX nodes.

An exporter would write each of them as a handful of nodes that compute shapes, or as one that a runtime
treats as something else; a fast form therefore receives them from outside, in the form that its use needs.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ffcore.export.deform_conv import onnx_deform_conv2d
from ffcore.models.blocks.deform_conv import deform_conv2d

Pads = tuple[int, int, int, int]
"""Top, left, bottom, right."""


class Operators(ABC):
    """What a fast form is made of besides torch's own modules."""

    @abstractmethod
    def global_mean(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, 1, 1)."""

    @abstractmethod
    def global_max(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, 1, 1)."""

    @abstractmethod
    def conv(
        self, x: Tensor, weight: Tensor, bias: Tensor, *, strides: tuple[int, int], pads: Pads
    ) -> Tensor:
        """A convolution whose border of zeros need not be the same on both sides."""

    @abstractmethod
    def matmul(self, x: Tensor, y: Tensor) -> Tensor:
        """(B, N, K) times (B, K, M) to (B, N, M)."""

    @abstractmethod
    def regroup(self, x: Tensor, last: int | None) -> Tensor:
        """(B, ...) to (B, N, last); None makes one row, (B, 1, N)."""

    @abstractmethod
    def sample_groups(self, x: Tensor, weight: Tensor, *, offset: Tensor, mask: Tensor) -> Tensor:
        """A deformable 1×1 convolution in which each part of the channels has offsets and factors of its own.

        Args:
            x: (B, G·C, H, W).
            weight: (O, G·C, 1, 1).
            offset: (B, 2·G, H, W), dy before dx.
            mask: (B, G, H, W).
        """

    @abstractmethod
    def join_last(self, x: Tensor) -> Tensor:
        """(B, H, W, K) to (B, H, W·K)."""

    @abstractmethod
    def crop_rows(self, x: Tensor, like: Tensor) -> Tensor:
        """(B, H, V) to (B, H, W), the first W of V cells, for the W of a tensor (B, H, W, C)."""

    @abstractmethod
    def reshape_like(self, x: Tensor, like: Tensor) -> Tensor:
        """The same numbers in the shape of another tensor."""


class TorchOperators(Operators):
    """By torch."""

    def global_mean(self, x: Tensor) -> Tensor:
        """See `Operators`."""
        return x.mean(dim=(2, 3), keepdim=True)

    def global_max(self, x: Tensor) -> Tensor:
        """See `Operators`."""
        return x.amax(dim=(2, 3), keepdim=True)

    def conv(
        self, x: Tensor, weight: Tensor, bias: Tensor, *, strides: tuple[int, int], pads: Pads
    ) -> Tensor:
        """See `Operators`."""
        top, left, bottom, right = pads
        return F.conv2d(F.pad(x, (left, right, top, bottom)), weight, bias, stride=strides)

    def matmul(self, x: Tensor, y: Tensor) -> Tensor:
        """See `Operators`."""
        return torch.bmm(x, y)

    def regroup(self, x: Tensor, last: int | None) -> Tensor:
        """See `Operators`."""
        return x.reshape(x.shape[0], 1, -1) if last is None else x.reshape(x.shape[0], -1, last)

    def sample_groups(self, x: Tensor, weight: Tensor, *, offset: Tensor, mask: Tensor) -> Tensor:
        """See `Operators`."""
        groups = mask.shape[1]
        parts = zip(
            x.chunk(groups, dim=1),
            weight.chunk(groups, dim=1),
            offset.chunk(groups, dim=1),
            mask.chunk(groups, dim=1),
            strict=True,
        )
        sampled = [deform_conv2d(a, w, offset=o, mask=m, padding=0) for a, w, o, m in parts]
        return torch.stack(sampled).sum(dim=0)

    def join_last(self, x: Tensor) -> Tensor:
        """See `Operators`."""
        return x.flatten(2)

    def crop_rows(self, x: Tensor, like: Tensor) -> Tensor:
        """See `Operators`."""
        return x[:, :, : like.shape[2]]

    def reshape_like(self, x: Tensor, like: Tensor) -> Tensor:
        """See `Operators`."""
        return x.reshape(like.shape)


class OnnxOperators(Operators):
    """As nodes of a graph that is being exported; nothing is computed."""

    def global_mean(self, x: Tensor) -> Tensor:
        """See `Operators`."""
        return _node("GlobalAveragePool", x, shape=(*x.shape[:2], 1, 1))

    def global_max(self, x: Tensor) -> Tensor:
        """See `Operators`."""
        return _node("GlobalMaxPool", x, shape=(*x.shape[:2], 1, 1))

    def conv(
        self, x: Tensor, weight: Tensor, bias: Tensor, *, strides: tuple[int, int], pads: Pads
    ) -> Tensor:
        """See `Operators`."""
        kernel = weight.shape[2:]
        sides = [(x.shape[2 + i] + pads[i] + pads[2 + i] - kernel[i]) // strides[i] + 1 for i in range(2)]
        attrs = {"kernel_shape": list(kernel), "strides": list(strides), "pads": list(pads)}
        return _node("Conv", x, weight, bias, shape=(x.shape[0], weight.shape[0], *sides), attrs=attrs)

    def matmul(self, x: Tensor, y: Tensor) -> Tensor:
        """See `Operators`."""
        return _node("MatMul", x, y, shape=(*x.shape[:2], y.shape[2]))

    def regroup(self, x: Tensor, last: int | None) -> Tensor:
        """See `Operators`."""
        length = math.prod(x.shape[1:])
        if last is None:
            return _node("Reshape", x, torch.tensor([0, 1, -1]), shape=(x.shape[0], 1, length))
        length //= last
        return _node("Reshape", x, torch.tensor([0, -1, last]), shape=(x.shape[0], length, last))

    def sample_groups(self, x: Tensor, weight: Tensor, *, offset: Tensor, mask: Tensor) -> Tensor:
        """See `Operators`."""
        return onnx_deform_conv2d(x, weight, offset=offset, mask=mask, padding=0, offset_groups=mask.shape[1])

    def join_last(self, x: Tensor) -> Tensor:
        """See `Operators`."""
        return _node("Reshape", x, torch.tensor([0, 0, -1]), shape=(*x.shape[:2], x.shape[2] * x.shape[3]))

    def crop_rows(self, x: Tensor, like: Tensor) -> Tensor:
        """See `Operators`."""
        width = _node("Shape", like, shape=(1,), dtype=torch.int64, attrs={"start": 2, "end": 3})
        first, axis = torch.tensor([0]), torch.tensor([2])
        return _node("Slice", x, first, width, axis, shape=(*x.shape[:2], like.shape[2]))

    def reshape_like(self, x: Tensor, like: Tensor) -> Tensor:
        """See `Operators`."""
        sides = _node("Shape", like, shape=(like.dim(),), dtype=torch.int64)
        return _node("Reshape", x, sides, shape=like.shape)


def _node(
    name: str,
    *inputs: Tensor,
    shape: Sequence[int],
    attrs: Mapping[str, int | list[int]] | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    result: Tensor = torch.onnx.ops.symbolic(
        name, inputs, attrs=dict(attrs or {}), dtype=dtype or inputs[0].dtype, shape=shape, version=19
    )
    return result
