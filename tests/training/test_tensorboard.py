from __future__ import annotations

import time
from pathlib import Path

import pytest

from ffcore.training.events import EpochStarted, RolledBack, RunStarted, StepDone, Validated
from ffcore.training.tensorboard import FOLDER, TensorBoardWriter
from ffcore.training.trainer import StepReport

accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")


def started(folder: Path, *, first_step: int = 0) -> RunStarted:
    return RunStarted(
        folder=folder,
        model="v2",
        parameters=1,
        device="cpu",
        processes=1,
        photos=8,
        held_back=2,
        epochs=3,
        batches=4,
        first_step=first_step,
    )


def step(number: int, *, total: float) -> StepDone:
    norm = None if number % 2 else 2.0
    report = StepReport(number, {"total": total}, {"cosine": 0.5}, norm, 1e-3, (), ("a.jpg",))
    return StepDone(report, number // 4, number % 4, 10.0, 60.0, 2_000_000_000)


def scalars(folder: Path, tag: str) -> list[tuple[int, float]]:
    events = accumulator.EventAccumulator(str(folder / FOLDER), size_guidance={"scalars": 0})
    events.Reload()
    return [(event.step, pytest.approx(event.value)) for event in events.Scalars(tag)]


def test_every_number_is_written_at_its_step(tmp_path: Path) -> None:
    with TensorBoardWriter() as writer:
        writer(started(tmp_path))
        writer(EpochStarted(0, {"alpha": 0.25}))
        for number in range(4):
            writer(step(number, total=10.0 - number))
        writer(Validated(0, {"total": 7.5}, {"height>=50": 0.4}, True, 1.0))
    assert scalars(tmp_path, "loss/total") == [(0, 10.0), (1, 9.0), (2, 8.0), (3, 7.0)]
    assert scalars(tmp_path, "step/gradient_norm") == [(0, 2.0), (2, 2.0)]
    assert scalars(tmp_path, "step/rate")[0] == (0, 1e-3)
    assert scalars(tmp_path, "measure/cosine")[0] == (0, 0.5)
    assert scalars(tmp_path, "setting/alpha") == [(0, 0.25)]
    assert scalars(tmp_path, "validation/total") == [(3, 7.5)]
    assert len(scalars(tmp_path, "step/memory_gb")) == 4


def test_a_run_that_goes_on_leaves_no_step_twice(tmp_path: Path) -> None:
    for first, last, total in ((0, 6, 1.0), (4, 8, 2.0)):  # the first part died behind its checkpoint
        with TensorBoardWriter() as writer:
            writer(started(tmp_path, first_step=first))
            for number in range(first, last):
                writer(step(number, total=total))
        time.sleep(1.1)  # files are read in the order of the second in their names
    assert scalars(tmp_path, "loss/total") == [(n, 1.0 if n < 4 else 2.0) for n in range(8)]


def test_what_was_undone_is_hidden(tmp_path: Path) -> None:
    with TensorBoardWriter() as writer:
        writer(started(tmp_path))
        for number in range(6):
            writer(step(number, total=1.0))
        writer(RolledBack("step 6: the training has diverged", 2, 0.5))
        writer(step(2, total=3.0))
    assert scalars(tmp_path, "loss/total") == [(0, 1.0), (1, 1.0), (2, 3.0)]
