"""Several processes at one job, as ``torchrun`` starts them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ffcore.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor


PATIENCE = timedelta(hours=6)
"""So long a process waits for another one. The first alone may validate or build a cache, for longer than
the half hour that torch waits by itself; one that dies is noticed at once, because its connection closes."""


@dataclass(frozen=True)
class Processes:
    """This process among those that share a job.

    Args:
        rank: Its number, from 0.
        count: How many there are.
    """

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that reports."""
        return self.rank == 0

    def gather(self, value: Any) -> list[Any]:
        """The values of all processes, in their order, once every one has arrived here.

        Args:
            value: Anything that can be pickled.
        """
        if self.count == 1:
            return [value]
        import torch.distributed

        values: list[Any] = [None] * self.count
        torch.distributed.all_gather_object(values, value)
        return values

    def average(self, value: Tensor) -> Tensor:
        """The mean of a tensor over all processes, the same on each of them; no gradient flows through it.

        Args:
            value: Of one shape everywhere.
        """
        if self.count == 1:
            return value
        import torch.distributed

        total = value.detach().clone()
        torch.distributed.all_reduce(total)
        return total / self.count


@contextmanager
def processes() -> Iterator[Processes]:
    """Joins the processes that ``torchrun`` started; alone when it did not.

    Raises:
        ConfigError: The environment is that of ``torchrun``, but damaged.
    """
    count = os.environ.get("WORLD_SIZE", "1")
    rank = os.environ.get("RANK", "0")
    if not (count.isdigit() and rank.isdigit() and int(rank) < int(count)):
        raise ConfigError(f"RANK = {rank!r} and WORLD_SIZE = {count!r} do not fit; start it with torchrun")
    if int(count) == 1:
        yield Processes()
        return
    import torch.distributed

    # DistributedDataParallel imports it, and its functions keep the group of that moment as a default
    # argument. Imported before there is one, they do not: threads of gloo end with the last reference to the
    # group, and one that still lets go of its tensors while the interpreter ends may abort the process.
    import torch.distributed.nn

    torch.distributed.init_process_group("gloo", timeout=PATIENCE)
    try:
        yield Processes(int(rank), int(count))
    finally:
        torch.distributed.destroy_process_group()
