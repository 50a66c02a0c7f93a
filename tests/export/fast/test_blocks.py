"""Each block in its fast form computes what it computed before."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ffcore.export.fast.attention import SIDE_BY_SIDE, FastCBAM, FastChannelGate, FastSpatialGate
from ffcore.export.fast.context import FastSSH, PairConv, fast_context, fold_shuffle
from ffcore.export.fast.deform import FastDeformableUnit
from ffcore.export.fast.folding import fold_all_norms
from ffcore.export.fast.heads import FastHeads
from ffcore.export.fast.operators import TorchOperators
from ffcore.export.fast.pyramid import FastFusion, speed_up_fusions
from ffcore.models.blocks.attention import CBAM, ChannelGate, SpatialGate
from ffcore.models.blocks.bifpn import BiFPNKind, WeightedFusion, bifpn
from ffcore.models.blocks.deform_conv import DeformableUnit
from ffcore.models.blocks.heads import Heads
from ffcore.models.blocks.shuffle import shuffle_block
from ffcore.models.blocks.ssh import SSH
from tests.export.fast.rounding import assert_same, randomize_norms

pytestmark = pytest.mark.usefixtures("no_gradients")
TORCH = TorchOperators()
SIZES = [(1, 1), (7, 9), (12, 8), (13, 128)]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("hidden", [4, 8, 9])
def test_a_channel_gate_pools_twice_and_multiplies_once(hidden: int, bias: bool) -> None:
    gate, x = ChannelGate(16, hidden, bias=bias), torch.randn(2, 16, 5, 7)
    assert_same(FastChannelGate(gate, TORCH)(x), gate.maps(x)["channel"])


@pytest.mark.parametrize("mean_first", [False, True])
@pytest.mark.parametrize("width", [1, 7, SIDE_BY_SIDE, SIDE_BY_SIDE + 1, 40])
def test_eight_cells_at_once_are_the_same_as_one_by_one(width: int, mean_first: bool) -> None:
    gate = SpatialGate(mean_first=mean_first).eval()
    randomize_norms(gate)
    x = torch.randn(2, 6, 5, width)
    wanted = gate.maps(x)["spatial"][:, 0]
    assert_same(FastSpatialGate(gate, TORCH)(x.permute(0, 2, 3, 1)), wanted)


@pytest.mark.parametrize("rectify", [False, True])
@pytest.mark.parametrize("light", [False, True])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_attention_is_the_same_on_every_level(height: int, width: int, light: bool, rectify: bool) -> None:
    attention = CBAM((32, 64), light=light).eval()
    randomize_norms(attention)
    levels = [torch.randn(2, 32, height, width), torch.randn(2, 64, width, height)]
    for found, wanted in zip(
        FastCBAM(attention, TORCH, rectify=rectify)(levels), attention(levels), strict=True
    ):
        assert_same(found, wanted)


@pytest.mark.parametrize(
    "weights", [(1.0, 0.5), (0.0, 1.0), (-2.0, 1.0), (1.0, 0.0), (1e-5, 1.0), (0.3, 0.7, 1.5)]
)
def test_a_fusion_and_its_scale_are_the_weighted_sum(weights: tuple[float, ...]) -> None:
    fusion = WeightedFusion(len(weights))
    fusion.weight.copy_(torch.tensor(weights))
    maps = [torch.randn(2, 8, 5, 6) for _ in range(2)]
    fast = FastFusion(fusion, 8, count=2)
    assert_same(fast.scale * fast(*maps), fusion(*maps))


@pytest.mark.parametrize("kind", ["light", "separable"])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (13, 29), (24, 16)])
def test_a_pyramid_is_the_same_at_odd_sizes(height: int, width: int, kind: BiFPNKind) -> None:
    pyramid = bifpn((8, 16, 24), 16, kind=kind, repeats=2).eval()
    randomize_norms(pyramid)
    for parameter in pyramid.parameters():
        if parameter.dim() == 1 and len(parameter) in (2, 3):
            parameter.copy_(torch.rand(len(parameter)) + 0.2)
    levels = [
        torch.randn(2, width_of, -(-height // s), -(-width // s))
        for width_of, s in zip((8, 16, 24), (1, 2, 4), strict=True)
    ]
    wanted = pyramid(levels)
    fold_all_norms(pyramid)
    for layer in pyramid:
        speed_up_fusions(layer)
    for found, level in zip(pyramid(levels), wanted, strict=True):
        assert_same(found, level)


def test_a_convolution_of_pairs_is_two_depthwise_ones() -> None:
    conv, x = nn.Conv2d(8, 8, 3, padding=1, groups=4), torch.randn(2, 8, 5, 6)
    twin = x[:, torch.arange(8) ^ 1]
    assert_same(PairConv(conv)(x, twin), conv(x))


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_grouped_context_is_the_same(height: int, width: int) -> None:
    ssh, x = SSH(32, kind="grouped").eval(), torch.randn(2, 32, height, width)
    randomize_norms(ssh)
    wanted = ssh(x)
    fold_all_norms(ssh)
    fast = fast_context(ssh)
    assert isinstance(fast, FastSSH)
    assert_same(fast(x), wanted)


def test_a_context_without_a_fast_form_stays_as_it_is() -> None:
    for ssh in (SSH(64, kind="grouped"), SSH(32, kind="deformable")):
        assert fast_context(ssh) is ssh


@pytest.mark.parametrize("kind", ["plain", "grouped"])
def test_a_shuffle_becomes_an_order_of_weights(kind: str) -> None:
    shuffle = shuffle_block(kind, 16)  # type: ignore[arg-type]
    conv, x = nn.Conv2d(16, 8, 1, groups=4 if kind == "grouped" else 1), torch.randn(2, 16, 4, 3)
    assert_same(fold_shuffle(shuffle, conv)(x), conv(shuffle[0](x)))


@pytest.mark.parametrize(("channels", "out"), [(16, 4), (8, 4)])
def test_mixing_before_sampling_is_the_same_convolution(channels: int, out: int) -> None:
    unit = DeformableUnit(channels, out)
    for parameter in (*unit.offset_conv.parameters(), *unit.modulator_conv.parameters()):
        parameter.uniform_(-0.3, 0.3)
    x = torch.randn(2, channels, 7, 9)
    assert_same(FastDeformableUnit(unit, TORCH)(x), unit(x), tolerance=1e-4)


def test_heads_give_the_softmax_without_computing_it() -> None:
    heads = Heads(16)
    levels = [5 * torch.randn(2, 16, *size) for size in ((8, 12), (4, 6), (2, 3))]
    boxes, logits, landmarks = heads(levels)
    found = FastHeads(heads, TORCH)(levels)
    for have, want in zip(found, (boxes, logits.softmax(-1), landmarks), strict=True):
        assert_same(have, want)
