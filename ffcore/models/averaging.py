"""The mean of several trained networks (Wortsman et al. 2022, Model Soups, arXiv 2203.05482, section 2)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from ffcore.errors import ConfigError
from ffcore.models.featherface import FeatherFace, build_network


@torch.no_grad()
def average_networks(networks: Sequence[FeatherFace], shares: Sequence[float] | None = None) -> FeatherFace:
    """A network whose weights and running statistics are the mean of those of others.

    This can help where all of them went on from the same weights: what lies between is then often as good as
    they are or better, which is to be measured. Networks that began apart have nothing in common that a mean
    would keep.

    Args:
        networks: One or more of the same configuration; they stay as they are.
        shares: What each counts, adding up to 1, none below 0; all alike when None.

    Returns:
        A new network on the CPU, in evaluation mode.

    Raises:
        ConfigError: The networks differ, or the shares do not fit them.
    """
    if not networks:
        raise ConfigError("a mean needs at least one network")
    first = networks[0]
    if any(network.config != first.config for network in networks):
        raise ConfigError("networks of different configurations have no mean")
    if shares is None:
        shares = [1 / len(networks)] * len(networks)
    if len(shares) != len(networks) or min(shares) < 0 or not math.isclose(sum(shares), 1, abs_tol=1e-6):
        given = ", ".join(f"{share:g}" for share in shares)
        raise ConfigError(f"shares = {given}: {len(networks)} numbers from 0 that add up to 1 are needed")
    states = [network.state_dict() for network in networks]
    mean = {}
    for key, value in first.state_dict().items():
        if value.is_floating_point():  # others count batches, which mean nothing any more
            parts = [share * state[key].cpu().double() for share, state in zip(shares, states, strict=True)]
            mean[key] = torch.stack(parts).sum(dim=0).to(value.dtype)
        else:
            mean[key] = value
    network = build_network(first.config)
    network.load_state_dict(mean)
    return network.eval()
