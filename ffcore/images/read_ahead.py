"""Photos that are decoded while something else is busy with earlier ones."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ffcore.errors import ImageError
from ffcore.images.decode import read_image

Outcome = NDArray[np.uint8] | ImageError


WAITING_BYTES = 256 * 2**20
"""Decoded photos that may wait; beyond it nothing further is read until one is taken."""


def read_ahead(paths: Iterable[Path], *, depth: int = 4) -> Iterator[Outcome]:
    """Reads photos in their order, a few of them in the background.

    Args:
        paths: Files as `read_image` takes them.
        depth: How many photos may wait, decoded or about to be; fewer where they are very large.

    Yields:
        For each path the image, (H, W, 3) uint8 BGR, or the error that explains why there is none.
    """
    remaining = iter(paths)
    room = _Room(WAITING_BYTES)
    with ThreadPoolExecutor(max_workers=1) as reader:
        pending = deque(reader.submit(_read, path, room) for path in islice(remaining, depth))
        try:
            while pending:
                outcome = pending.popleft().result()
                room.leave(outcome)
                pending.extend(reader.submit(_read, path, room) for path in islice(remaining, 1))
                yield outcome
        finally:
            # whoever stops early should not wait for photos that nobody will see
            for future in pending:
                future.cancel()
            room.open()


class _Room:
    """Counts the bytes of decoded photos that wait, and lets the reader in while there are few.

    Args:
        limit: Bytes.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bytes = 0
        self._changed = threading.Condition()

    def enter(self, outcome: Outcome) -> None:
        with self._changed:
            self._bytes += _size(outcome)

    def leave(self, outcome: Outcome) -> None:
        with self._changed:
            self._bytes -= _size(outcome)
            self._changed.notify()

    def wait(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._bytes < self._limit)

    def open(self) -> None:
        with self._changed:
            self._bytes = 0
            self._changed.notify()


def _size(outcome: Outcome) -> int:
    return outcome.nbytes if isinstance(outcome, np.ndarray) else 0


def _read(path: Path, room: _Room) -> Outcome:
    room.wait()
    try:
        outcome: Outcome = read_image(path)
    except ImageError as error:
        outcome = error
    room.enter(outcome)
    return outcome
