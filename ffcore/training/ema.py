"""A slowly moving average of the weights, which is often better than the weights themselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ffcore.errors import ConfigError


class ExponentialMovingAverage:
    """Average of everything that a network keeps (Polyak and Juditsky 1992, in its exponential form).

    Parameters and running statistics are averaged; counters are copied. At first the decay is smaller, so
    that the random start is forgotten: min(decay, (1 + n) / (10 + n)) at update n.

    Args:
        network: Whose weights are followed; the average starts as a copy of them.
        decay: Share of the old average that an update keeps, 0 to below 1.

    Raises:
        ConfigError: The decay is out of its range.
    """

    def __init__(self, network: nn.Module, *, decay: float = 0.999) -> None:
        if not 0 <= decay < 1:
            raise ConfigError(f"decay = {decay}: 0 or more and less than 1 is needed")
        self.decay = decay
        self.updates = 0
        self._network = network
        self._average = {key: value.detach().clone() for key, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self) -> None:
        """Takes in the weights of the network as they are now."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for key, value in self._network.state_dict().items():
            average = self._average[key]
            if average.is_floating_point():
                average.lerp_(value, 1 - decay)
            else:
                average.copy_(value)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The network has the averaged weights for the length of the block, then its own again."""
        own = {key: value.detach().clone() for key, value in self._network.state_dict().items()}
        self._network.load_state_dict(self._average)
        try:
            yield
        finally:
            self._network.load_state_dict(own)

    def state(self) -> dict[str, int | dict[str, Tensor]]:
        """What a checkpoint must keep."""
        return {"updates": self.updates, "average": self._average}

    def restore(self, updates: int, average: dict[str, Tensor]) -> None:
        """Goes on from what `state` gave."""
        self.updates = updates
        for key, value in average.items():
            self._average[key].copy_(value)
