"""A pruned network is the whole one with channels that carry nothing, and an ordinary network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ffcore.config import NetworkConfig
from ffcore.errors import ConfigError
from ffcore.models.blocks.ssh import SSH
from ffcore.models.featherface import FeatherFace, build_network
from ffcore.models.profile import count_parameters
from ffcore.models.pruning import best, prune, pruned_width
from ffcore.models.variants import VARIANTS
from ffcore.models.weights import load_network, save_network

IMAGES = torch.randn(2, 3, 96, 128, generator=torch.Generator().manual_seed(1)) * 60
RATIOS = {"v1-original": 0.25, "v1": 0.3, "v2": 0.5, "v2-ca": 0.25}
QUIET = {"backbone_attention": "none", "pyramid_attention": "none", "context_attention": "none"}
"""Attention takes the mean over channels: those that carry nothing count there, and gone ones do not."""


def lively(config: NetworkConfig) -> FeatherFace:
    """A network in which every number differs, normalisation, offsets and fusion included."""
    torch.manual_seed(3)
    network = build_network(config)
    with torch.no_grad():
        for value in network.state_dict().values():
            if value.is_floating_point():
                value.copy_(torch.rand_like(value) * 0.6 + 0.2 if value.dim() == 1 else value * 1.3)
        for name, value in network.named_parameters():
            if "offset_conv" in name or "modulator_conv" in name:
                value.uniform_(-0.3, 0.3)
    return network.eval()


def silence(network: FeatherFace, count: int) -> None:
    """Makes the last channels of each run of neighbours carry nothing, wherever channels are written.

    Args:
        network: Changed.
        count: Of the neighbours, the first stays.
    """
    with torch.no_grad():
        for name, module in network.named_modules():
            inside = name.startswith(("neck", "context", "shuffle"))
            if inside and isinstance(module, torch.nn.BatchNorm2d):
                loud = torch.arange(module.num_features) % count == 0
                module.weight *= loud
                module.bias *= loud
                module.running_mean *= loud


@pytest.mark.parametrize("name", ["v1", "v1-original", "v2"])
def test_taking_out_channels_that_carry_nothing_changes_nothing(name: str) -> None:
    network = lively(replace(VARIANTS[name], **QUIET))
    silence(network, 2)
    smaller, done = prune(network, 0.5)
    assert done.width_after * 2 == done.width_before
    with torch.no_grad():
        for before, after in zip(network(IMAGES), smaller(IMAGES), strict=True):
            torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_network_gets_smaller_and_can_be_saved_and_trained(name: str, tmp_path: Path) -> None:
    network = lively(VARIANTS[name])
    smaller, done = prune(network, RATIOS[name])
    assert done.parameters_before == count_parameters(network)
    assert done.parameters_after == count_parameters(smaller) < done.parameters_before
    assert smaller.config == replace(network.config, out_channel=done.width_after)
    save_network(smaller, tmp_path / "small.safetensors")
    again = load_network(tmp_path / "small.safetensors")
    with torch.no_grad():
        assert all(map(torch.equal, again(IMAGES), smaller(IMAGES)))
    smaller.train()
    sum(output.square().mean() for output in smaller(IMAGES)).backward()
    gone = [key for key, value in smaller.named_parameters() if value.grad is None]
    assert gone == []
    assert all(torch.isfinite(value.grad).all() for value in smaller.parameters() if value.grad is not None)


@pytest.mark.parametrize("name", VARIANTS)
def test_filters_are_those_of_the_whole_network(name: str) -> None:
    network = lively(VARIANTS[name])
    smaller, _ = prune(network, RATIOS[name])
    whole, part = (each.state_dict() for each in (network, smaller))
    assert whole.keys() == part.keys()
    for key, value in part.items():
        if key.startswith("backbone"):
            assert torch.equal(value, whole[key])
        elif value.dim() and key.endswith("bn.running_var"):  # each number of its own channel, in order
            places = [torch.nonzero(whole[key] == number)[0].item() for number in value]
            assert places == sorted(places)


def test_the_channels_of_least_norm_go() -> None:
    network = lively(replace(VARIANTS["v1"], **QUIET))
    ssh = network.context[0]
    assert isinstance(ssh, SSH)
    with torch.no_grad():
        ssh.conv3.bn.weight[5:] *= 0.01
    smaller, done = prune(network, 0.5)
    kept = smaller.context[0].conv3.bn.running_var
    assert set(ssh.conv3.bn.running_var[:5].tolist()) <= set(kept.tolist())
    assert len(kept) == done.width_after // 2


def test_the_best_of_each_run_stay_in_their_order() -> None:
    norms = [torch.tensor([1.0, 5, 2, 9, 8, 7]), torch.tensor([4.0, 0, 0, 0, 0, 0])]
    assert best(norms, 2) == [3, 4]
    assert best(norms, 2, parts=2) == [0, 3]
    assert best(norms, 4, parts=2) == [0, 1, 3, 4]


@pytest.mark.parametrize(
    ("name", "ratio", "width"), [("v1", 0.25, 40), ("v1", 0.5, 28), ("v2", 0.5, 16), ("v1-original", 0.2, 48)]
)
def test_the_width_is_one_that_the_structure_permits(name: str, ratio: float, width: int) -> None:
    assert pruned_width(VARIANTS[name], ratio) == width
    replace(VARIANTS[name], out_channel=width)  # is checked when it is made


@pytest.mark.parametrize(("name", "ratio"), [("v1", 0), ("v1", 1), ("v1", 0.99), ("v2", 0.25), ("v2", 0.9)])
def test_a_ratio_that_the_structure_does_not_permit_is_refused(name: str, ratio: float) -> None:
    with pytest.raises(ConfigError, match="prune"):
        pruned_width(VARIANTS[name], ratio)
