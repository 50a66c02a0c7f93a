from __future__ import annotations

import pytest
import torch

from ffcore.errors import ConfigError
from ffcore.models.averaging import average_networks
from ffcore.models.featherface import FeatherFace
from ffcore.models.variants import VARIANTS
from tests.models.random_weights import random_network


def scaled(factor: float) -> FeatherFace:
    network = random_network(VARIANTS["v2"])
    for value in network.state_dict().values():
        if value.is_floating_point():
            value.mul_(factor)
    return network


NETWORKS = [scaled(factor) for factor in (1, 1.5, 0.3)]


@pytest.mark.parametrize("shares", [(0.2, 0.5, 0.3), (0, 0.25, 0.75), (0, 0, 1)])
def test_each_number_is_the_mean_of_theirs(shares: tuple[float, ...]) -> None:
    mean = average_networks(NETWORKS, shares).state_dict()
    for key, value in mean.items():
        if value.is_floating_point():
            aim = sum(share * n.state_dict()[key] for share, n in zip(shares, NETWORKS, strict=True))
            torch.testing.assert_close(value, aim)


def test_without_shares_all_count_alike() -> None:
    alike = average_networks(NETWORKS, [1 / 3] * 3).state_dict()
    for key, value in average_networks(NETWORKS).state_dict().items():
        torch.testing.assert_close(value, alike[key])


def test_one_network_is_its_own_mean_and_no_part_of_it_is_shared() -> None:
    network = random_network(VARIANTS["v2"])
    before = {key: value.clone() for key, value in network.state_dict().items()}
    copy = average_networks([network])
    assert not copy.training
    for parameter in copy.parameters():
        parameter.data.add_(1)
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    own = dict(network.named_parameters())
    assert all(torch.equal(own[key] + 1, value) for key, value in copy.named_parameters())


@pytest.mark.parametrize("shares", [[0.5, 0.5], [0.5, 0.5, 0.1], [1.5, -0.5, 0.0]])
def test_shares_that_do_not_fit_are_refused(shares: list[float]) -> None:
    with pytest.raises(ConfigError, match="3 numbers from 0 that add up to 1"):
        average_networks(NETWORKS, shares)


def test_different_networks_have_no_mean() -> None:
    with pytest.raises(ConfigError, match="different configurations"):
        average_networks([NETWORKS[0], random_network(VARIANTS["v1"])])
    with pytest.raises(ConfigError, match="at least one"):
        average_networks([])
