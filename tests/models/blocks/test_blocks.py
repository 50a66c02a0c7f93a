from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from ffcore.models.blocks.attention import CBAM, attention
from ffcore.models.blocks.bifpn import WeightedFusion, bifpn
from ffcore.models.blocks.conv import ConvNorm
from ffcore.models.blocks.pooling import ZeroPaddedMaxPool
from ffcore.models.blocks.shuffle import EvenOddShuffle, GroupShuffle

SIZES = [(h, w) for h in range(1, 12) for w in range(1, 12)]


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_pooling_pads_with_zeros_the_tensorflow_way(height: int, width: int) -> None:
    x = torch.randn(2, 3, height, width) - 1
    pads = []
    for n in (width, height):
        total = max(((n + 1) // 2 - 1) * 2 - n + 3, 0)
        pads += [total // 2, total - total // 2]
    assert torch.equal(ZeroPaddedMaxPool()(x), F.max_pool2d(F.pad(x, pads), 3, stride=2))


def test_pooling_lets_the_zeros_of_the_border_win() -> None:
    pooled = ZeroPaddedMaxPool()(torch.full((1, 1, 4, 4), -2.0))
    assert pooled.tolist() == [[[[-2.0, 0.0], [0.0, 0.0]]]]


def test_fusion_weights_are_positive_and_add_up_to_almost_one() -> None:
    fusion = WeightedFusion(2)
    fusion.weight.data = torch.tensor([3.0, -1.0])
    a, b = torch.randn(1, 2, 3, 3), torch.randn(1, 2, 3, 3)
    assert torch.allclose(fusion(a, b), F.silu(a * 3 / 3.0001))


def test_a_surplus_fusion_weight_only_enters_the_sum() -> None:
    fusion = WeightedFusion(3)
    fusion.weight.data = torch.tensor([1.0, 1.0, 2.0])
    a, b = torch.randn(1, 2, 3, 3), torch.randn(1, 2, 3, 3)
    assert torch.allclose(fusion(a, b), F.silu((a + b) / 4.0001))


def test_even_odd_shuffle_puts_even_channels_first() -> None:
    x = torch.arange(8.0).view(1, 8, 1, 1)
    assert EvenOddShuffle()(x).flatten().tolist() == [0, 2, 4, 6, 1, 3, 5, 7]


def test_group_shuffle_deals_the_groups_out_in_turn() -> None:
    x = torch.arange(8.0).view(1, 8, 1, 1)
    assert GroupShuffle(4)(x).flatten().tolist() == [0, 2, 4, 6, 1, 3, 5, 7]
    x = torch.arange(32.0).view(1, 32, 1, 1)
    shuffled = GroupShuffle(4)(x).flatten()
    assert all(shuffled[4 * i + g] == 8 * g + i for g in range(4) for i in range(8))


@pytest.mark.parametrize("sizes", [((7, 9), (4, 5), (2, 3)), ((1, 1), (1, 1), (1, 1))])
@pytest.mark.parametrize("kind", ["separable", "light"])
def test_the_pyramid_keeps_the_sizes_of_its_levels(kind: str, sizes: tuple[tuple[int, int], ...]) -> None:
    neck = bifpn((64, 128, 256), 32, kind=kind, repeats=2).eval()  # type: ignore[arg-type]
    levels = [torch.randn(1, c, *size) for c, size in zip((64, 128, 256), sizes, strict=True)]
    assert [tuple(x.shape) for x in neck(levels)] == [(1, 32, *size) for size in sizes]


@pytest.mark.parametrize("kind", ["none", "cbam", "cbam-plus", "coordinate"])
def test_attention_keeps_shapes(kind: str) -> None:
    levels = [torch.randn(2, 32, n, n + 1) for n in (5, 3, 2)]
    found = attention(kind, (32, 32, 32))(levels)  # type: ignore[arg-type]
    assert [x.shape for x in found] == [x.shape for x in levels]


def test_the_light_attention_shares_one_spatial_gate() -> None:
    assert len(CBAM((64, 128, 256), light=True).spatial) == 1
    assert len(CBAM((64, 128, 256), light=False).spatial) == 3


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(
    ("kernel", "stride", "groups"), [(1, 1, 1), (3, 2, 1), (3, 1, 6), (3, 1, 2), (7, 1, 1)]
)
def test_held_statistics_give_what_two_passes_give_and_the_same_gradients(
    kernel: int, stride: int, groups: int, bias: bool
) -> None:
    torch.manual_seed(0)
    unit = ConvNorm(6, 12, kernel=kernel, stride=stride, groups=groups, bias=bias).double()
    for vector in (unit.bn.weight, unit.bn.bias, unit.bn.running_mean, unit.bn.running_var):
        assert vector is not None
        torch.nn.init.uniform_(vector, 0.5, 2)
    statistics = {name: value.clone() for name, value in unit.bn.named_buffers()}
    unit.bn.eval()
    x = torch.randn(2, 6, 9, 8, dtype=torch.float64, requires_grad=True)
    learnt = (x, *unit.parameters())

    joined = unit(x)
    apart = unit.bn(unit.conv(x))
    assert not torch.equal(joined, apart)  # another order of rounding: it is not the same code twice
    torch.testing.assert_close(joined, apart)
    direction = torch.randn_like(apart)
    torch.testing.assert_close(
        torch.autograd.grad(joined, learnt, direction), torch.autograd.grad(apart, learnt, direction)
    )
    assert all(torch.equal(value, statistics[name]) for name, value in unit.bn.named_buffers())
    unit.eval()
    assert torch.equal(unit(x), apart)
