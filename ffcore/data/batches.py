"""Which samples make up each batch of an epoch, on each process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ffcore.errors import ConfigError


@dataclass(frozen=True, slots=True)
class SampleKey:
    """All that a sample depends on, besides the data and its settings.

    A worker that gets it needs to know nothing of epochs, so that workers may outlive them.

    Args:
        index: Number of the image.
        epoch: From 0.
        size: Side of the square input in pixels.
        repeat: How often the image came before in this epoch.
    """

    index: int
    epoch: int
    size: int
    repeat: int = 0


class BatchPlan:
    """Batches of sample keys, for ``DataLoader(batch_sampler=...)``; call `set_epoch` before each epoch.

    The order depends on the seed and the epoch only: the same plan on every process, of which each takes its
    own part of every batch. A run that stopped goes on in the middle of an epoch with
    ``set_epoch(epoch, first_batch=...)``.

    Args:
        groups: For each image the name of its group, say its event or where it comes from.
        batch_size: Samples of a batch on one process.
        sizes: Sides of the input in pixels; each batch gets one of them, the same on all processes.
        seed: 0 or more.
        evenness: 0: every image comes once an epoch. 1: every group comes equally often, small ones by
            repeating images, large ones by leaving some to other epochs. Between: by the number of images to
            the power of 1 − evenness. An epoch always has as many samples as there are images.
        shuffle: Whether the order is drawn; else it is that of the images, and `evenness` must be 0.
        drop_last: Whether samples that fill no batch on all processes are left out. Else they make a
            smaller one, from which only those are missing that would leave a process with nothing.
        rank: Number of this process.
        world_size: How many processes there are.

    Raises:
        ConfigError: A number is impossible, or there are too few images for one batch.
    """

    def __init__(
        self,
        groups: Sequence[str],
        *,
        batch_size: int,
        sizes: Sequence[int] = (640,),
        seed: int = 0,
        evenness: float = 0.0,
        shuffle: bool = True,
        drop_last: bool = True,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if batch_size < 1 or not 0 <= rank < world_size or seed < 0 or not sizes:
            raise ConfigError(
                f"batch_size = {batch_size}, rank = {rank}/{world_size}, seed = {seed}, {len(sizes)} sizes; "
                "a batch needs at least one sample and a size, ranks count from 0, seeds are not negative"
            )
        if not 0 <= evenness <= 1 or (evenness and not shuffle):
            raise ConfigError(f"evenness = {evenness}: 0 to 1 is possible, and only 0 without shuffling")
        self._groups = tuple(groups)
        self._batch_size, self._sizes, self._seed = batch_size, tuple(sizes), seed
        self._evenness, self._shuffle = evenness, shuffle
        self._rank, self._world_size = rank, world_size
        self._epoch = self._first = 0
        whole = batch_size * world_size
        count = len(self._groups)
        rest = count % whole
        self._count = count // whole + (not drop_last and rest >= world_size)
        if self._count == 0:
            raise ConfigError(
                f"{count} images fill no batch of {batch_size} on {world_size} "
                f"{'process' if world_size == 1 else 'processes'}; take a smaller batch size"
            )

    def set_epoch(self, epoch: int, *, first_batch: int = 0) -> None:
        """Chooses the epoch that is gone through next.

        Args:
            epoch: From 0.
            first_batch: How many batches of it are done already.

        Raises:
            ConfigError: A number is negative, or the epoch has no such batch.
        """
        if epoch < 0 or not 0 <= first_batch <= self._count:
            raise ConfigError(
                f"epoch {epoch}, batch {first_batch}: an epoch has batches 0 to {self._count - 1}"
            )
        self._epoch, self._first = epoch, first_batch

    def __len__(self) -> int:
        return self._count - self._first

    def __iter__(self) -> Iterator[list[SampleKey]]:
        epoch = self._epoch
        rng = np.random.default_rng([self._seed, epoch])
        sizes = rng.integers(len(self._sizes), size=self._count)  # first: they must not depend on the rest
        if self._shuffle:
            order, repeats = even_order(self._groups, evenness=self._evenness, rng=rng)
        else:
            order = np.arange(len(self._groups))
            repeats = np.zeros_like(order)
        whole = self._batch_size * self._world_size
        for batch in range(self._first, self._count):
            size = self._sizes[int(sizes[batch])]
            places = range(batch * whole + self._rank, min((batch + 1) * whole, len(order)), self._world_size)
            yield [SampleKey(int(order[i]), epoch, size, int(repeats[i])) for i in places]


def even_order(
    groups: Sequence[str], *, evenness: float, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """As many images as there are, in random order, from each group as `evenness` wants.

    Args:
        groups: For each image the name of its group.
        evenness: See `BatchPlan`.
        rng: Where chance comes from.

    Returns:
        (N,) numbers of images, and (N,) how often each of them came before. No image comes again before all
        of its group have come.
    """
    names, members = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)
    counts = np.bincount(members, minlength=len(names))
    shares = counts ** (1.0 - evenness)
    exact = shares / shares.sum() * len(groups)
    quotas = np.floor(exact + 1e-9).astype(np.int64)
    # what rounding leaves over goes to groups by chance, so that over many epochs each gets its share
    left = len(groups) - int(quotas.sum())
    if left:
        fractions = np.maximum(exact - quotas, 0)
        quotas[rng.choice(len(names), left, replace=False, p=fractions / fractions.sum())] += 1
    order, repeats = [], []
    for number, quota in enumerate(quotas):
        images = np.flatnonzero(members == number)
        rounds = -(-int(quota) // len(images))
        drawn = [rng.permutation(images) for _ in range(rounds)]
        order.append(np.concatenate([*drawn, np.zeros(0, np.int64)])[:quota])
        repeats.append(np.repeat(np.arange(rounds), len(images))[:quota])
    shuffled = rng.permutation(len(groups))
    return (
        np.concatenate(order).astype(np.int64)[shuffled],
        np.concatenate(repeats).astype(np.int64)[shuffled],
    )
