from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from ffcore.errors import ConfigError
from ffcore.training.schedule import cosine_rate, multistep_rate, onecycle_rate, trapezoid_rate


@pytest.mark.reference
def test_the_cosine_with_warm_up_is_the_golden_one(reference: Path) -> None:
    gold = np.load(reference / "golden" / "schedules.npz")["cosine_warmup_lr_400_w5_1e-3_1e-6"]
    np.testing.assert_allclose([cosine_rate(epoch, epochs=400) for epoch in range(400)], gold, rtol=1e-12)


@pytest.mark.parametrize("steps", [20, 137, 1000])
def test_one_cycle_is_that_of_torch(steps: int) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-3, total_steps=steps)
    for step in range(steps):
        assert onecycle_rate(step, steps=steps) == pytest.approx(schedule.get_last_lr()[0], rel=1e-9)
        if step < steps - 1:
            optimizer.step()
            schedule.step()


def test_the_warm_up_rises_to_the_maximum_and_the_cosine_falls_to_the_minimum() -> None:
    rates = [cosine_rate(epoch, epochs=50, warmup=5, maximum=0.1, minimum=0.001) for epoch in range(51)]
    assert rates[4] == rates[5] == pytest.approx(0.1)
    assert rates[:5] == sorted(rates[:5])
    assert rates[5:] == sorted(rates[5:], reverse=True)
    assert rates[-1] == pytest.approx(0.001)


def test_milestones_divide_the_rate() -> None:
    rates = [multistep_rate(epoch) for epoch in (0, 189, 190, 219, 220, 300)]
    assert rates == pytest.approx([1e-3, 1e-3, 1e-4, 1e-4, 1e-5, 1e-5])


def test_the_trapezoid_rises_stays_level_and_falls_to_zero() -> None:
    rates = [trapezoid_rate(i, steps=100, warmup=10, decay=0.2, maximum=1.0) for i in range(100)]
    assert rates[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert set(rates[10:80]) == {1.0}
    assert all(a > b for a, b in itertools.pairwise(rates[79:]))
    assert rates[89] == pytest.approx(0.5)
    assert rates[99] == pytest.approx(0.0)


def test_impossible_schedules_are_refused() -> None:
    with pytest.raises(ConfigError, match="warmup = 10"):
        cosine_rate(0, epochs=10, warmup=10)
    with pytest.raises(ConfigError, match="1 steps"):
        onecycle_rate(0, steps=1)
