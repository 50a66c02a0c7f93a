"""When the network itself began and ended, inside a run of a detector's backend."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


class NetworkStopwatch:
    """Notes when a backend's network begins and ends; what lies around it in a run is not the network.

    Put `around_network` of it in the place of the backend's own.

    Args:
        device: Of torch, when that is what computes: a GPU works on after a call has returned. Other
            runtimes return when they are done.
    """

    def __init__(self, device: str = "cpu") -> None:
        self.began = self.ended = 0.0
        self._kind = device.partition(":")[0]

    @property
    def seconds(self) -> float:
        """Of the last run."""
        return self.ended - self.began

    @contextmanager
    def around_network(self) -> Iterator[None]:
        """What is done inside is the network."""
        self._synchronize()
        self.began = time.perf_counter()
        yield
        self._synchronize()
        self.ended = time.perf_counter()

    def _synchronize(self) -> None:
        if self._kind != "cpu":
            getattr(sys.modules["torch"], self._kind).synchronize()
