"""What is known of a training that runs, gathered from its events; nothing is drawn here."""

from __future__ import annotations

import math
import statistics
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ffcore.distillation.job import TeacherScored
from ffcore.events import Advanced, Event, Failed, Noticed, Started
from ffcore.training.events import (
    EpochStarted,
    RolledBack,
    RunStarted,
    Saved,
    StepDone,
    Unhealthy,
    Validated,
    ValidationStarted,
)
from ffcore.training.run_folder import MEASURES, RunFolder

_POINTS = 128  # of a trend; when they are full, two become one


class Trend:
    """A curve over all that has come so far, in few points: as it grows, each stands for more."""

    def __init__(self) -> None:
        self.points: list[float] = []
        self._each, self._sum, self._count = 1, 0.0, 0

    def add(self, value: float) -> None:
        """Takes a value in; one that is no number is left out."""
        if not math.isfinite(value):
            return
        self._sum, self._count = self._sum + value, self._count + 1
        if self._count < self._each:
            return
        self.points.append(self._sum / self._count)
        self._sum, self._count = 0.0, 0
        if len(self.points) == _POINTS:
            pairs = zip(self.points[::2], self.points[1::2], strict=True)
            self.points = [(first + second) / 2 for first, second in pairs]
            self._each *= 2


class Series:
    """One quantity: its last value, those of the epoch, and its trend."""

    def __init__(self) -> None:
        self.now: float | None = None
        self.epoch: list[float] = []
        self.trend = Trend()

    def add(self, value: float) -> None:
        """Takes the value of a step in."""
        self.now = value
        self.epoch.append(value)
        self.trend.add(value)

    @property
    def mean(self) -> float | None:
        """Of the epoch."""
        return statistics.fmean(self.epoch) if self.epoch else None

    @property
    def median(self) -> float | None:
        """Of the epoch."""
        return statistics.median(self.epoch) if self.epoch else None

    @property
    def largest(self) -> float | None:
        """Of the epoch."""
        return max(self.epoch, default=None)


class TrainingState:
    """Listens to a training and remembers what a person wants to see.

    Args:
        clock: Seconds.

    Attributes:
        run: What is trained; None before it is known.
        preparing: What is counted before that, how much of it is done, and of how many.
        epoch: From 0, likewise `batch` and `step`, the last one done; -1 before.
        settings: What the objective has set for the epoch.
        teacher: What the teacher of a distillation can do; None where it was not scored.
        terms: Loss terms by name.
        measures: What else is measured at each step, by name.
        gradient: Norm before clipping.
        rate: Learning rate; likewise the next ones, as in `StepDone`.
        findings: How often each kind of unhealthy step came in this epoch, and in the whole run.
        unhealthy_steps: Of this epoch.
        last: What the last validation saw; likewise `best`.
        saved: The last checkpoint, and when it was written.
        rollbacks: How often the training went back.
        messages: The last lines that are worth a look.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.run: RunStarted | None = None
        self.preparing: tuple[str, int, int | None] | None = None
        self.epoch, self.batch, self.step = 0, -1, -1
        self.settings: Mapping[str, float] = {}
        self.teacher: TeacherScored | None = None
        self.terms: dict[str, Series] = {}
        self.measures: dict[str, Series] = {}
        self.gradient = Series()
        self.rate = self.images_per_second = self.seconds_left = 0.0
        self.memory: int | None = None
        self.findings: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
        self.unhealthy_steps: set[int] = set()
        self.last: Validated | None = None
        self.best: Validated | None = None
        self.saved: tuple[Saved, float] | None = None
        self.rollbacks = 0
        self.validating = False
        self.messages: deque[str] = deque(maxlen=3)

    def on_event(self, event: Event) -> str | None:
        """Takes an event in; the line that it is worth to be told in full, if it is."""
        line: str | None = None
        match event:
            case Started():
                self.preparing = (event.what, 0, event.total)
            case Advanced() if self.preparing is not None:
                what, done, total = self.preparing
                self.preparing = (what, done + 1, total)
            case Failed():
                line = f"{event.name}: {event.reason}"
            case Noticed():
                line = f"{event.name}: {event.message}"
            case TeacherScored():
                self.teacher = event
            case RunStarted():
                self.run, self.preparing = event, None
                if event.first_step:
                    self._recall(RunFolder(event.folder).read_record(), event)
            case EpochStarted():
                if event.epoch != self.epoch:
                    self._begin_epoch(event.epoch)
                self.settings = event.settings
            case StepDone():
                self._take_step(event)
            case Unhealthy():
                line = self._take_finding(event)
            case ValidationStarted():
                self.validating = True
            case Validated():
                self.last, self.validating = event, False
                self.best = event if event.best else self.best
            case Saved():
                self.saved = (event, self.clock())
            case RolledBack():
                line = self._go_back(event)
        if line is not None:
            self.messages.append(line)
        return line

    @property
    def epoch_seconds_left(self) -> float:
        """Until this epoch ends, at the pace of the last steps."""
        if self.run is None:
            return 0.0
        steps = self.run.epochs * self.run.batches - self.step - 1
        return self.seconds_left * (self.run.batches - self.batch - 1) / steps if steps > 0 else 0.0

    def _begin_epoch(self, epoch: int) -> None:
        self.epoch, self.batch = epoch, -1
        for series in (*self.terms.values(), *self.measures.values(), self.gradient):
            series.epoch = []
        self.findings[0].clear()
        self.unhealthy_steps = set()

    def _take_step(self, event: StepDone) -> None:
        report = event.report
        self.step, self.batch = report.step, event.batch
        for name, value in report.terms.items():
            self.terms.setdefault(name, Series()).add(value)
        for name, value in report.measures.items():
            self.measures.setdefault(name, Series()).add(value)
        if report.gradient_norm is not None:
            self.gradient.add(report.gradient_norm)
        self.rate, self.images_per_second = report.rate, event.images_per_second
        self.seconds_left, self.memory = event.seconds_left, event.memory

    def _take_finding(self, event: Unhealthy) -> str | None:
        """Findings come at nearly every step early on: only the first of a kind is told."""
        kind = f"{event.finding.what} {_RELATION[event.finding.symptom]}"
        for counts in self.findings:
            counts[kind] += 1
        self.unhealthy_steps.add(event.finding.step)
        if self.findings[1][kind] > 1:
            return None
        shown = ", ".join(event.images[:2])
        more = f" and {len(event.images) - 2} more" if len(event.images) > 2 else ""
        return f"{event.finding} ({shown}{more}); more of this kind are only counted"

    def _go_back(self, event: RolledBack) -> str:
        self.rollbacks += 1
        if self.run is not None:  # what was seen of this epoch is partly undone
            self._begin_epoch(event.step // self.run.batches)
            self.step, self.batch = event.step - 1, event.step % self.run.batches - 1
        what = event.reason.partition("; ")[0]  # behind it stands what a user would do, which is done
        return f"back to step {event.step} with rates times {event.rate_factor:g}: {what}"

    def _recall(self, records: Iterable[Mapping[str, Any]], run: RunStarted) -> None:
        """What an earlier part of the run has recorded."""
        self.epoch = run.first_step // run.batches
        for record in records:
            step = int(record["step"])
            if step >= run.first_step:
                break
            if record["kind"] == "step":
                self._recall_step(record, now=step // run.batches == self.epoch)
                self.step, self.batch = step, step % run.batches
            elif record["kind"] == "validation":
                seen = Validated(record["epoch"], record["loss"], record["ap"], record["best"], 0.0)
                self.last, self.best = seen, seen if seen.best else self.best
            elif record["kind"] == "rollback":
                self.rollbacks += 1

    def _recall_step(self, record: Mapping[str, Any], *, now: bool) -> None:
        for name, value in record.items():
            if name in _NO_TERMS or value is None:
                continue
            if name == "gradient_norm":
                series = self.gradient
            else:
                group = self.measures if name in MEASURES else self.terms
                series = group.setdefault(name, Series())
            series.now = float(value)
            series.trend.add(series.now)
            if now:
                series.epoch.append(series.now)


_RELATION = {
    "gradient-high": "above 10",
    "gradient-low": "below 1e-6",
    "loss-high": "above 100",
    "not-finite": "no number",
}
_NO_TERMS = {"kind", "step", "epoch", "rate", "images_per_second"}
