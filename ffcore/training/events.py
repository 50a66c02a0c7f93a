"""What a training tells while it runs, besides the events that all jobs share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ffcore.events import Event
from ffcore.training.health import Finding
from ffcore.training.trainer import StepReport


@dataclass(frozen=True)
class RunStarted(Event):
    """The first batch is about to be taken.

    Args:
        folder: Of the run.
        model: Name of the network.
        parameters: How many it has.
        device: What computes.
        processes: How many take part.
        photos: To learn from.
        held_back: Photos to validate with.
        epochs: Of the whole training.
        batches: Of one epoch, on each process.
        first_step: Steps that an earlier run has done already.
    """

    folder: Path
    model: str
    parameters: int
    device: str
    processes: int
    photos: int
    held_back: int
    epochs: int
    batches: int
    first_step: int


@dataclass(frozen=True)
class EpochStarted(Event):
    """An epoch begins, or is gone on with.

    Args:
        epoch: From 0.
        settings: What the objective has set for it, say α.
    """

    epoch: int
    settings: Mapping[str, float]


@dataclass(frozen=True)
class StepDone(Event):
    """One more batch is taken.

    Args:
        report: What happened.
        epoch: From 0.
        batch: Number in the epoch, from 0.
        images_per_second: Of all processes, over the last steps.
        seconds_left: Until the last epoch ends, at this pace.
        memory: Largest use so far in bytes, of the GPU or of this process; None where it cannot be known.
    """

    report: StepReport
    epoch: int
    batch: int
    images_per_second: float
    seconds_left: float
    memory: int | None


@dataclass(frozen=True)
class Unhealthy(Event):
    """A step was not sound; the training goes on.

    Args:
        finding: What was wrong.
        images: The photos of the batch on this process.
    """

    finding: Finding
    images: tuple[str, ...]


@dataclass(frozen=True)
class ValidationStarted(Event):
    """The network is about to be looked at; no step is taken meanwhile.

    Args:
        epoch: From 0; the one that has just ended.
    """

    epoch: int


@dataclass(frozen=True)
class Validated(Event):
    """The network was looked at.

    Args:
        epoch: From 0; the one that has just ended.
        terms: Loss terms on the photos held back.
        ap: Average precision by subset, 0 to 1; empty when faces were not scored.
        best: Whether it is better than ever before.
        seconds: How long that took.
    """

    epoch: int
    terms: Mapping[str, float]
    ap: Mapping[str, float]
    best: bool
    seconds: float


@dataclass(frozen=True)
class Saved(Event):
    """A checkpoint is on disk.

    Args:
        path: The file.
        step: Steps that it holds.
    """

    path: Path
    step: int


@dataclass(frozen=True)
class RolledBack(Event):
    """The training has diverged and went back to its last good state.

    Args:
        reason: What had happened.
        step: Where it goes on.
        rate_factor: What every rate is multiplied by from now on.
    """

    reason: str
    step: int
    rate_factor: float
