"""Comparison of two forms of the same computation."""

from __future__ import annotations

import torch
from torch import Tensor


def assert_same(found: Tensor, wanted: Tensor, *, tolerance: float = 1e-5) -> None:
    """Equal shapes, and values within rounding of the largest."""
    assert found.shape == wanted.shape
    assert float((found - wanted).abs().max()) <= tolerance * max(1.0, float(wanted.abs().max()))


def randomize_norms(module: torch.nn.Module, *, seed: int = 0) -> None:
    """Gives every normalisation statistics and factors that are not the trivial ones, in place."""
    generator = torch.Generator().manual_seed(seed)
    for bn in module.modules():
        if isinstance(bn, torch.nn.BatchNorm2d):
            for value, low, high in (
                (bn.running_mean, -0.5, 0.5),
                (bn.running_var, 0.5, 1.5),
                (bn.weight.data, 0.5, 1.5),
                (bn.bias.data, -0.3, 0.3),
            ):
                assert value is not None
                value.copy_(torch.rand(value.shape, generator=generator) * (high - low) + low)
