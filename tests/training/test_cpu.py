from __future__ import annotations

import platform
import resource

import numpy as np
import pytest
import torch

from ffcore.training.cpu import settings_for_training


def small_number_survives() -> bool:
    return bool((torch.tensor([1e-30]) * 1e-10)[0] != 0)


def page_faults(rounds: int = 8) -> int:
    """How often the system had to give a page while arrays of 32 MB came and went."""
    np.ones(2**22)  # what the first one costs is no matter
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        np.ones(2**22)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_small_numbers_are_zero_within_only() -> None:
    assert small_number_survives()
    with settings_for_training():
        assert not small_number_survives()
    assert small_number_survives()


def test_an_error_within_leaves_nothing_behind() -> None:
    with pytest.raises(RuntimeError, match="stop"), settings_for_training():
        raise RuntimeError("stop")
    assert small_number_survives()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told")
def test_memory_of_large_arrays_is_asked_for_once() -> None:
    usual = page_faults()
    with settings_for_training():
        within = page_faults()
    assert within < usual / 4
    assert page_faults() > usual / 2
