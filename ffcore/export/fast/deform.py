"""Deformable convolutions that mix channels before they sample.

Sampling is linear, so it commutes with the mixing of channels: each cell is first multiplied with the
weights of every tap, and of the result each tap samples its own part. With C channels in and O out that
samples O numbers a tap in place of C. (`ffcore.models.blocks.deform_conv` computes the same way.)
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ffcore.export.fast.folding import make_conv
from ffcore.export.fast.operators import Operators
from ffcore.models.blocks.deform_conv import DeformableUnit
from ffcore.models.blocks.ssh import DeformableNorm

LEAST_GAIN = 2
"""Input channels per output channel from which on it pays: the products of all taps must be made as well."""


class FastDeformableUnit(nn.Module):
    """`DeformableUnit` by way of the products of every cell with every tap.

    Args:
        unit: What it computes.
        operators: Of torch or of ONNX.
    """

    def __init__(self, unit: DeformableUnit, operators: Operators) -> None:
        super().__init__()
        self.operators = operators
        weight = unit.regular_conv.weight.detach()  # (O, C, 3, 3)
        out, channels, rows, columns = weight.shape
        self.products = make_conv(weight.permute(2, 3, 0, 1).reshape(-1, channels, 1, 1), None)
        taps = rows * columns
        # a tap samples where its place in the kernel is, plus its offset
        places = [(y - rows // 2, x - columns // 2) for y in range(rows) for x in range(columns)]
        bias = [unit.offset_conv.bias, unit.modulator_conv.bias]
        weights = [unit.offset_conv.weight, unit.modulator_conv.weight]
        moved = torch.cat([each.detach() for each in bias if each is not None])
        moved[: 2 * taps] += torch.tensor(places, dtype=moved.dtype).flatten()
        self.sampling = make_conv(torch.cat([each.detach() for each in weights]), moved, padding=rows // 2)
        self.taps = taps
        self.sum = nn.Parameter(torch.eye(out).repeat(1, taps)[:, :, None, None], requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W) -> (B, O, H, W)
        """Runs the unit."""
        sampling = self.sampling(x)
        offset, mask = sampling[:, : 2 * self.taps], 2 * sampling[:, 2 * self.taps :].sigmoid()
        return self.operators.sample_groups(self.products(x), self.sum, offset=offset, mask=mask)


def speed_up_deformable(module: nn.Module, operators: Operators) -> None:
    """Replaces the units below a module for which it pays, in place."""
    for each in module.modules():
        if isinstance(each, DeformableNorm) and isinstance(each.unit, DeformableUnit):
            conv = each.unit.regular_conv
            if conv.in_channels >= LEAST_GAIN * conv.out_channels:
                each.unit = FastDeformableUnit(each.unit, operators)  # type: ignore[assignment]
