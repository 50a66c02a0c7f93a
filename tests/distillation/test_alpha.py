from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffcore.distillation.alpha import AlphaConfig, AlphaSchedule
from ffcore.errors import ConfigError


@pytest.mark.reference
@pytest.mark.parametrize("kind", ["linear", "cosine", "exponential"])
def test_golden_curves(kind: str, reference: Path) -> None:
    gold = np.load(reference / "golden" / "schedules.npz")[f"alpha_{kind}"]
    schedule = AlphaSchedule(AlphaConfig(kind=kind))  # type: ignore[arg-type]
    np.testing.assert_allclose([schedule.alpha(epoch) for epoch in range(401)], gold, atol=1e-12)


@pytest.mark.reference
def test_golden_curve_of_another_length(reference: Path) -> None:
    gold = np.load(reference / "golden" / "schedules.npz")["alpha_linear_0.9_0.3_50"]
    schedule = AlphaSchedule(AlphaConfig(kind="linear", epochs=50, start=0.9, end=0.3))
    np.testing.assert_allclose([schedule.alpha(epoch) for epoch in range(61)], gold, atol=1e-12)


@pytest.mark.reference
@pytest.mark.parametrize("case", ["constant", "improving", "recover", "noisy400"])
def test_golden_reaction_to_a_plateau(case: str, reference: Path) -> None:
    gold = np.load(reference / "golden" / "schedules.npz")
    schedule = AlphaSchedule()
    losses = gold[f"plateau/{case}/val_loss"]
    found = [
        schedule.alpha(epoch, None if np.isnan(loss) else float(loss)) for epoch, loss in enumerate(losses)
    ]
    np.testing.assert_allclose(found, gold[f"plateau/{case}/alpha"], atol=1e-12)
    assert schedule.plateau == int(gold[f"plateau/{case}/counter_end"])


@given(
    kind=st.sampled_from(["linear", "cosine", "exponential", "dynamic"]),
    start=st.floats(0.01, 1),
    end=st.floats(0.01, 1),
    losses=st.lists(st.one_of(st.none(), st.floats(0, 10)), max_size=40),
)
def test_the_teacher_always_has_a_say_and_never_the_only_one(
    kind: str, start: float, end: float, losses: list[float | None]
) -> None:
    schedule = AlphaSchedule(AlphaConfig(kind=kind, start=start, end=end, epochs=30))  # type: ignore[arg-type]
    for epoch, loss in enumerate(losses):
        alpha = schedule.alpha(epoch, loss)
        assert 0.1 <= alpha <= 0.9
        assert epoch <= 24 or alpha <= 0.4


def test_a_constant_schedule_is_constant() -> None:
    schedule = AlphaSchedule(AlphaConfig(kind="constant"))
    assert {schedule.alpha(epoch, 1.0) for epoch in range(400)} == {0.7}


def test_a_restored_schedule_goes_on_as_if_nothing_had_happened() -> None:
    whole, first, second = AlphaSchedule(), AlphaSchedule(), AlphaSchedule()
    wanted = [whole.alpha(epoch, 1.0) for epoch in range(30)]
    found = [first.alpha(epoch, 1.0) for epoch in range(15)]
    second.restore(json.loads(json.dumps(first.state())))
    assert found + [second.alpha(epoch, 1.0) for epoch in range(15, 30)] == wanted


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="did you mean 'cosine'"):
        AlphaConfig(kind="cosin")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"start = 1\.5"):
        AlphaConfig(start=1.5)
