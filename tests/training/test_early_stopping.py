from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ffcore.errors import ConfigError
from ffcore.training.early_stopping import EarlyStopping, EarlyStoppingConfig, judged_loss

CASES = [
    "improving",
    "flat",
    "flat_after_115",
    "degrade",
    "tiny_improvements",
    "noisy400",
    "window_edge",
    "custom",
    "spike_then_ok",
]


@pytest.mark.reference
@pytest.mark.parametrize("case", CASES)
def test_golden_decisions(case: str, reference: Path) -> None:
    gold = np.load(reference / "golden" / "schedules.npz")
    names = {"min_epoch": "first_epoch", "optimal_window": "window"}
    values = {
        names.get(key, key): value for key, value in json.loads(str(gold[f"early/{case}/args"])).items()
    }
    values["window"] = tuple(values["window"])
    stopping = EarlyStopping(EarlyStoppingConfig(**values))
    first = int(gold[f"early/{case}/start_epoch"])
    found = [
        stopping.should_stop(first + i, float(loss)) for i, loss in enumerate(gold[f"early/{case}/val_loss"])
    ]
    assert found == gold[f"early/{case}/stop"].tolist()
    assert stopping.best_epoch == int(gold[f"early/{case}/best_epoch"])
    assert stopping.best_loss == float(gold[f"early/{case}/best_val_loss"])
    assert stopping.wait == int(gold[f"early/{case}/wait"])


def test_nothing_stops_before_the_first_epoch() -> None:
    stopping = EarlyStopping()
    assert not any(stopping.should_stop(epoch, 1.0 + epoch) for epoch in range(100))
    assert stopping.wait == 0


def test_half_the_patience_is_enough_inside_the_window() -> None:
    stopping = EarlyStopping()
    decisions = [stopping.should_stop(epoch, 1.0) for epoch in range(100, 121)]
    assert decisions.index(True) == 10


def test_a_loss_that_is_no_number_is_never_better() -> None:
    stopping = EarlyStopping()
    stopping.should_stop(100, 1.0)
    stopping.should_stop(101, float("nan"))
    assert (stopping.best_loss, stopping.wait) == (1.0, 1)


def test_a_restored_decision_goes_on_as_if_nothing_had_happened() -> None:
    losses = np.random.default_rng(0).random(60) + 1
    whole, first, second = EarlyStopping(), EarlyStopping(), EarlyStopping()
    wanted = [whole.should_stop(100 + i, loss) for i, loss in enumerate(losses)]
    found = [first.should_stop(100 + i, loss) for i, loss in enumerate(losses[:25])]
    second.restore(json.loads(json.dumps(first.state())))
    found += [second.should_stop(125 + i, loss) for i, loss in enumerate(losses[25:])]
    assert found == wanted


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ConfigError):
        EarlyStoppingConfig(patience=0)
    with pytest.raises(ConfigError, match="window"):
        EarlyStoppingConfig(window=(20, 10))


def test_under_a_teacher_the_task_is_judged_and_not_the_total_that_moves_with_alpha() -> None:
    assert judged_loss({"box": 1.0, "total": 3.0}) == 3.0
    assert judged_loss({"task": 2.0, "distill": 9.0, "total": 4.0}) == 2.0
    assert judged_loss({}) is None
