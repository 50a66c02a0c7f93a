from __future__ import annotations

import pytest
import torch
from torch import nn

from ffcore.export.fast.folding import (
    fold_all_norms,
    fold_norm,
    join_groups,
    permute_inputs,
    scale_channels,
)
from ffcore.models.blocks.conv import ConvNorm
from tests.export.fast.rounding import assert_same, randomize_norms

pytestmark = pytest.mark.usefixtures("no_gradients")


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("groups", "stride"), [(1, 2), (4, 1), (8, 2)])
def test_a_folded_normalisation_changes_nothing(groups: int, stride: int, bias: bool) -> None:
    unit = ConvNorm(8, 16, kernel=3, stride=stride, groups=groups, bias=bias, eps=1e-3).eval()
    randomize_norms(unit)
    x = torch.randn(2, 8, 9, 7)
    assert_same(fold_norm(unit)(x), unit(x))


def test_folding_a_whole_module_keeps_its_activations() -> None:
    module = nn.Sequential(ConvNorm(3, 8, activation=nn.LeakyReLU(0.1)), ConvNorm(8, 4, activation=nn.ReLU()))
    module.eval()
    randomize_norms(module)
    x = torch.randn(1, 3, 5, 6)
    wanted = module(x)
    fold_all_norms(module)
    assert not any(isinstance(each, nn.BatchNorm2d) for each in module.modules())
    assert_same(module(x), wanted)


@pytest.mark.parametrize(
    ("inside", "outside", "groups", "left"),
    [(16, 16, 4, 2), (8, 8, 4, 1), (16, 32, 4, 2), (32, 16, 4, 2), (12, 12, 4, 1), (32, 32, 4, 4)],
)
def test_joined_groups_compute_the_same_in_blocks_of_eight(
    inside: int, outside: int, groups: int, left: int
) -> None:
    conv = nn.Conv2d(inside, outside, 3, padding=1, groups=groups)
    joined = join_groups(conv)
    assert joined.groups == left
    x = torch.randn(2, inside, 6, 5)
    assert_same(joined(x), conv(x))


def test_permuted_weights_replace_permuted_channels() -> None:
    conv, order, x = nn.Conv2d(6, 4, 1), torch.randperm(6), torch.randn(2, 6, 3, 4)
    assert_same(permute_inputs(conv, order)(x), conv(x[:, order]))


def test_a_factor_multiplies_every_channel() -> None:
    x = torch.randn(1, 5, 3, 4)
    assert torch.equal(scale_channels(5, 0.25)(x), 0.25 * x)
