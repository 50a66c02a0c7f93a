"""How a process computes while it trains on the CPU."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # of mallopt(3)
_TRAINING = {_TRIM_THRESHOLD: 2**31 - 1, _TOP_PAD: 64 * 2**20, _MMAP_MAX: 0}
_USUAL = {_TRIM_THRESHOLD: 128 * 2**10, _TOP_PAD: 0, _MMAP_MAX: 65536}


@contextmanager
def settings_for_training() -> Iterator[None]:
    """Within it, this process trains faster; afterwards it is as it was.

    Numbers below the normal range of floats count as zero on this thread: small gradients cost a CPU ten
    times the time. Other code of the process may want them.

    The C library keeps the memory of large arrays. It would give it back with every activation that is freed
    and ask for as much anew in the next step, and the system clears each page of it first: 12 to 20 % of a
    step of `v2`, forward and backward. Only glibc is told; others have no such settings or need none.
    """
    torch.set_flush_denormal(True)
    _tell_malloc(_TRAINING)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
        _tell_malloc(_USUAL)


def _tell_malloc(options: dict[int, int]) -> None:
    if not sys.platform.startswith("linux"):
        return
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):  # musl has a mallopt that does nothing
        return
    for option, value in options.items():
        library.mallopt(option, value)
    library.malloc_trim(0)
