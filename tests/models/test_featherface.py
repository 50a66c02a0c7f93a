from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ffcore.config import NetworkConfig
from ffcore.errors import ModelError, UnknownModelError
from ffcore.geometry import anchor_count
from ffcore.models.attention_maps import get_attention_maps
from ffcore.models.featherface import build_network
from ffcore.models.profile import count_parameters, profile
from ffcore.models.variants import VARIANTS, variant_config, variant_name

PARAMETERS = {"v1-original": 592_371, "v1": 489_015, "v2": 256_156, "v2-ca": 493_095}


@pytest.mark.parametrize("name", VARIANTS)
def test_parameter_counts_are_exact(name: str) -> None:
    assert count_parameters(build_network(VARIANTS[name])) == PARAMETERS[name]


def test_every_component_of_v1_has_the_size_that_was_measured() -> None:
    counts = {name: cost.parameters for name, cost in profile(VARIANTS["v1"]).components.items()}
    assert counts == {
        "backbone": 213_072,
        "attention": 0,
        "bifpn": 77_916,
        "ssh": 192_555,
        "shuffle": 0,
        "heads": 5_472,
    }


def test_the_v1_of_the_documents_is_a_configuration_of_the_same_parts() -> None:
    config = NetworkConfig(out_channel=24, bifpn_repeats=3, backbone_attention="cbam")
    assert count_parameters(build_network(config)) == 321_041


def test_attention_can_stand_in_front_of_ssh_as_the_documents_have_it() -> None:
    config = NetworkConfig(out_channel=56, pyramid_attention="coordinate")
    assert count_parameters(build_network(config)) == PARAMETERS["v2-ca"]
    assert variant_name(config) == "custom"


@pytest.mark.parametrize("name", VARIANTS)
@given(height=st.integers(1, 70), width=st.integers(1, 70))
@settings(max_examples=6, deadline=None)
def test_any_size_gives_one_row_for_each_anchor(name: str, height: int, width: int) -> None:
    network = build_network(VARIANTS[name]).eval()
    with torch.no_grad():
        boxes, logits, landmarks = network(torch.randn(1, 3, height, width))
    count = anchor_count(height, width)
    assert boxes.shape == (1, count, 4)
    assert logits.shape == (1, count, 2)
    assert landmarks.shape == (1, count, 10)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_parameter_is_used(name: str) -> None:
    network = build_network(VARIANTS[name]).train()
    for key, parameter in network.named_parameters():
        if "offset_conv" in key or "modulator_conv" in key:
            torch.nn.init.normal_(parameter, std=0.1)
    outputs = network(torch.randn(2, 3, 96, 96))
    sum((tensor * torch.randn_like(tensor)).sum() for tensor in outputs).backward()
    unused = [key for key, parameter in network.named_parameters() if parameter.grad is None]
    assert unused == []


@pytest.mark.parametrize("name", VARIANTS)
def test_components_add_up(name: str) -> None:
    found = profile(VARIANTS[name], (320, 320))
    assert sum(cost.parameters for cost in found.components.values()) == found.total.parameters
    assert sum(cost.macs for cost in found.components.values()) == found.total.macs


def test_macs_of_v2_are_those_measured_elsewhere() -> None:
    assert profile(VARIANTS["v2"]).total.macs == pytest.approx(0.41e9, rel=0.01)


def test_macs_of_the_stem_are_counted_by_hand() -> None:
    modules = profile(VARIANTS["v2"], (64, 64), depth=3).modules
    assert modules["backbone.stage1.0"].macs == 8 * 3 * 9 * 32 * 32
    assert modules["backbone.stage1.0"].parameters == 8 * 3 * 9 + 16


def test_deformable_sampling_is_part_of_the_macs() -> None:
    found = profile(VARIANTS["v1"], (64, 64), depth=3).modules["context.0.conv3"].macs
    cells, width, half = 8 * 8, 56, 28
    assert found == cells * (width * 27 * 9 + width * half * 9 + 36 * half)


def test_timing_leaves_the_mode_alone_and_says_how_many_threads() -> None:
    network = build_network(VARIANTS["v2"]).train()
    found = profile(network, (64, 64), repeats=1)
    assert network.training
    assert found.milliseconds is not None
    assert found.milliseconds > 0
    assert found.threads == torch.get_num_threads()


def test_attention_maps_have_a_name_for_each_place_level_and_kind() -> None:
    images = torch.randn(2, 3, 64, 96) * 50
    maps = get_attention_maps(build_network(VARIANTS["v2-ca"]), images)
    assert {name: tuple(factor.shape) for name, factor in maps.items()} == {
        "context_attention/p3/horizontal": (2, 56, 8, 1),
        "context_attention/p3/vertical": (2, 56, 1, 12),
        "context_attention/p4/horizontal": (2, 56, 4, 1),
        "context_attention/p4/vertical": (2, 56, 1, 6),
        "context_attention/p5/horizontal": (2, 56, 2, 1),
        "context_attention/p5/vertical": (2, 56, 1, 3),
    }
    assert all(factor.min() >= 0 and factor.max() <= 1 for factor in maps.values())


def test_the_shared_gate_of_v2_gives_a_map_for_each_level() -> None:
    network = build_network(VARIANTS["v2"]).train()
    maps = get_attention_maps(network, torch.randn(1, 3, 64, 64))
    spatial = [name for name in maps if name.endswith("spatial")]
    assert len(spatial) == 6
    assert maps["backbone_attention/c4/spatial"].shape == (1, 1, 4, 4)
    assert network.training
    assert not any(module._forward_pre_hooks for module in network.modules())


def test_v1_says_that_it_has_no_attention() -> None:
    with pytest.raises(ModelError, match="no attention"):
        get_attention_maps(build_network(VARIANTS["v1"]), torch.zeros(1, 3, 64, 64))


def test_an_unknown_name_lists_the_near_ones() -> None:
    with pytest.raises(UnknownModelError, match="v2-ca"):
        variant_config("v2ca")
