"""The training loop: epochs of steps, validations, checkpoints, and what to do when something goes wrong."""

from __future__ import annotations

import copy
import math
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from types import FrameType
from typing import Any, Literal

import torch
from torch.utils.data import DataLoader

from ffcore.data.batches import BatchPlan
from ffcore.distributed import Processes
from ffcore.errors import InputError
from ffcore.events import Failed, OnEvent
from ffcore.models.featherface import FeatherFace
from ffcore.training.early_stopping import EarlyStopping, judged_loss
from ffcore.training.events import (
    EpochStarted,
    RolledBack,
    Saved,
    StepDone,
    Unhealthy,
    Validated,
    ValidationStarted,
)
from ffcore.training.health import DivergedError
from ffcore.training.run_config import RunConfig
from ffcore.training.run_folder import BEST, LAST, RunFolder
from ffcore.training.trainer import StepReport, Trainer

_GOOD_STEPS = 50
"""Healthy steps after which the state is worth going back to."""

_FEW, _FEW_OF = 3, 0.05
"""Photos, and share of them, that may be damaged; when more are, something happened to all of them."""

Ending = Literal["finished", "stopped early", "interrupted"]


@dataclass(frozen=True)
class Look:
    """What a validation saw.

    Args:
        terms: Loss terms on the photos held back.
        ap: Average precision by subset, 0 to 1; empty when faces were not scored.
    """

    terms: Mapping[str, float]
    ap: Mapping[str, float]


class TrainingLoop:
    """Runs a training from where it stands to its end.

    Args:
        trainer: Takes the steps.
        config: Of the run.
        folder: Of the run; only the first process writes.
        plan: The batches of this process.
        loader: Gives them.
        look: Validates; called on the first process with averaged weights in the network, which it may put
            into evaluation mode. None when nothing is held back.
        facts: What should be known about the weights that are saved.
        processes: Who takes part.
        on_event: Told about everything, on the first process.

    Attributes:
        best: What the best validation saw; None before the first.
    """

    def __init__(
        self,
        trainer: Trainer,
        config: RunConfig,
        folder: RunFolder,
        *,
        plan: BatchPlan,
        loader: DataLoader[Any],
        look: Callable[[FeatherFace], Look] | None,
        facts: Mapping[str, str],
        processes: Processes,
        on_event: OnEvent,
    ) -> None:
        self.trainer, self.config, self.folder = trainer, config, folder
        self._plan, self._loader, self._look = plan, loader, look
        self._facts, self._processes, self._on_event = dict(facts), processes, on_event
        self._batches = len(plan)
        self._stopping = EarlyStopping(config.stopping)
        self._best_score = math.inf  # lower is better
        self.best: Look | None = None
        self._loss: float | None = None  # of the last validation, for the objective
        self._settings: dict[str, float] = {}
        self._rollbacks = 0
        self._ended = 0  # epochs, each with its validation
        self._over = False
        self._unread: set[str] = set()
        self._photos = len(loader.dataset)  # type: ignore[arg-type]
        self._pace = _Pace()
        self._saved_at = time.monotonic()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from what a checkpoint holds.

        Args:
            state: As `RunFolder.read_checkpoint` gives it.
        """
        self.trainer.restore(state["trainer"])
        self._stopping.restore(state["stopping"])
        self._best_score, self._loss = state["best_score"], state["loss"]
        self.best = None if state["best"] is None else Look(**state["best"])
        self._rollbacks, self._ended, self._over = state["rollbacks"], state["ended"], state["over"]
        self._settings = dict(state["settings"])

    def run(self) -> Ending:
        """Trains until the last epoch, until early stopping says so, or until someone interrupts.

        In every case the state is on disk afterwards.

        Returns:
            Why it ended.

        Raises:
            DivergedError: The loss is no number, and going back is not wanted or did not help.
            InputError: The folder cannot be written, or more than a few photos cannot be read; what it holds
                is as old as the last event `Saved`.
        """
        epochs = self.config.train.epochs
        self._begin_record()
        good, seen = self._snapshot(), self.trainer.step
        with _interruption() as interrupted:
            while self._ended < epochs and not self._over:
                epoch = self._ended
                try:
                    for report in self._steps(epoch):
                        if report.gradient_norm is None:
                            continue  # gradients that are only added up are in no state
                        if not report.findings and self.trainer.step - seen >= _GOOD_STEPS:
                            good, seen = self._snapshot(), self.trainer.step
                        if self._somebody(interrupted.is_set()):
                            self._save()
                            return "interrupted"
                except DivergedError as error:
                    self._roll_back(good, error)
                    seen = self.trainer.step
                    continue
                self._over = self._validate(epoch)
                self._ended += 1
                good, seen = self._snapshot(), self.trainer.step
                self._save()
                if self._ended < epochs and not self._over and self._somebody(interrupted.is_set()):
                    return "interrupted"
        if self._processes.first:
            with self._averaged():
                self.folder.write_weights(LAST, self.trainer.network, self._known())
        return "stopped early" if self._over else "finished"

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold: tensors and plain values."""
        best = self.best
        return {
            "trainer": self.trainer.state(),
            "stopping": self._stopping.state(),
            "best_score": self._best_score,
            "best": None if best is None else {"terms": dict(best.terms), "ap": dict(best.ap)},
            "loss": self._loss,
            "settings": self._settings,
            "rollbacks": self._rollbacks,
            "ended": self._ended,
            "over": self._over,
            "processes": self._processes.count,
        }

    def _steps(self, epoch: int) -> Iterator[StepReport]:
        """Takes the steps of an epoch that are left: none where it lacks its validation only."""
        first = self.trainer.step - epoch * self._batches
        if first == 0:
            self._settings = dict(self.trainer.objective.start_epoch(epoch, loss=self._loss))
            self._loss = None
        self._tell(EpochStarted(epoch, self._settings))
        if first == self._batches:
            return
        self._plan.set_epoch(epoch, first_batch=first)
        for batch in self._loader:
            self._take_note_of(batch.unread)
            self._pace.begin(len(batch) * self._processes.count)
            report = self.trainer.train_batch(batch)
            self._after(report)
            yield report

    def _take_note_of(self, unread: Iterable[tuple[str, str]]) -> None:
        """Tells photos that cannot be read, each once; of this process, as the others meet them in time."""
        for name, reason in unread:
            if name not in self._unread:
                self._unread.add(name)
                self._tell(Failed(name, reason))
                if len(self._unread) > max(_FEW, _FEW_OF * self._photos):
                    raise InputError(
                        f"{len(self._unread)} of {self._photos:,} photos cannot be read, {name} the last of "
                        f"them: {reason}; are they still where they were?"
                    )

    def _begin_record(self) -> None:
        if self._processes.first:
            self.folder.begin_record(step=self.trainer.step, epoch=self._ended)

    def _after(self, report: StepReport) -> None:
        """Records and tells a step, and saves when it is time."""
        if not self._processes.first:
            return
        epoch, batch = divmod(report.step, self._batches)
        speed = self._pace.images_per_second
        self.folder.record(
            "step",
            report.step,
            {
                "epoch": epoch,
                **report.terms,
                **report.measures,
                "gradient_norm": report.gradient_norm,
                "rate": report.rate,
                "images_per_second": speed,
            },
        )
        left = self.config.train.epochs * self._batches - report.step - 1
        self._tell(StepDone(report, epoch, batch, speed, left * self._pace.seconds_per_step, _memory()))
        for finding in report.findings:
            self._tell(Unhealthy(finding, report.images))
        due = time.monotonic() - self._saved_at > 60 * self.config.safety.save_minutes
        if due and report.gradient_norm is not None:
            self._save()

    def _validate(self, epoch: int) -> bool:
        """Looks at the network where it is time to; whether the training should stop."""
        last = epoch + 1 == self.config.train.epochs
        if self._look is None or ((epoch + 1) % self.config.validation.interval and not last):
            return False
        begun = time.monotonic()
        self._tell(ValidationStarted(epoch))
        look = None
        if self._processes.first:
            with self._averaged():
                look = self._look(self.trainer.network)
        look = self._processes.gather(look)[0]
        assert look is not None
        self._loss = judged_loss(look.terms)
        score = _to_minimise(look, self.config.stopping.metric)
        best = score < self._best_score
        if best:
            self._best_score, self.best = score, look
        if self._processes.first:
            if best:
                with self._averaged():
                    self.folder.write_weights(BEST, self.trainer.network, self._known(look))
            self.folder.record(
                "validation",
                self.trainer.step - 1,
                {"epoch": epoch, "loss": dict(look.terms), "ap": dict(look.ap), "best": best},
            )
            self._tell(Validated(epoch, look.terms, look.ap, best, time.monotonic() - begun))
        return self._stopping.should_stop(epoch, score)

    def _roll_back(self, good: Mapping[str, Any], error: DivergedError) -> None:
        safety = self.config.safety
        if safety.on_nan == "stop" or self._rollbacks >= safety.rollbacks:
            raise error
        rollbacks = self._rollbacks + 1
        factor = self.trainer.rate_factor * safety.rollback_factor
        self.restore(copy.deepcopy(dict(good)))
        self._rollbacks, self.trainer.rate_factor = rollbacks, factor
        self._begin_record()
        if self._processes.first:
            self.folder.record(
                "rollback", self.trainer.step - 1, {"reason": str(error), "rate_factor": factor}
            )
        self._tell(RolledBack(str(error), self.trainer.step, factor))

    def _snapshot(self) -> dict[str, Any]:
        return copy.deepcopy(self.state()) if self.config.safety.on_nan == "rollback" else {}

    def _save(self) -> None:
        if self._processes.first:
            path = self.folder.write_checkpoint(self.state())
            self._saved_at = time.monotonic()
            self._tell(Saved(path, self.trainer.step))

    def _averaged(self) -> Any:
        average = self.trainer.average
        return nullcontext() if average is None else average.applied()

    def _known(self, look: Look | None = None) -> dict[str, str]:
        look = look or self.best
        facts = {**self._facts, "steps": str(self.trainer.step)}
        if look is not None:
            facts |= {f"validation.ap.{name}": f"{value:.4f}" for name, value in look.ap.items()}
        return facts

    def _somebody(self, interrupted: bool) -> bool:
        """Whether any process was interrupted: they must all leave after the same step."""
        if self._processes.count == 1:
            return interrupted
        return bool(self._processes.average(torch.tensor(float(interrupted))) > 0)

    def _tell(self, event: Any) -> None:
        if self._processes.first:
            self._on_event(event)


class _Pace:
    """How fast steps follow each other, over the last of them."""

    def __init__(self) -> None:
        self._begun: deque[tuple[float, int]] = deque(maxlen=50)

    def begin(self, images: int) -> None:
        """A step of so many images begins."""
        self._begun.append((time.monotonic(), images))

    @property
    def seconds_per_step(self) -> float:
        """Until now; a validation in between counts too, until it is long ago."""
        if not self._begun:
            return 0.0
        return (time.monotonic() - self._begun[0][0]) / len(self._begun)

    @property
    def images_per_second(self) -> float:
        """Of all processes."""
        seconds = time.monotonic() - self._begun[0][0] if self._begun else 0.0
        return sum(images for _, images in self._begun) / seconds if seconds else 0.0


@contextmanager
def _interruption() -> Iterator[threading.Event]:
    """Turns the first Ctrl-C, and a request to end, into a flag, so that no step is cut in two.

    The second one raises as ever.
    """
    flag = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield flag  # signals reach the main thread only
        return

    def raise_flag(_number: int, _frame: FrameType | None) -> None:
        if flag.is_set():
            raise KeyboardInterrupt
        flag.set()

    before = {number: signal.signal(number, raise_flag) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield flag
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _to_minimise(look: Look, metric: str) -> float:
    if metric == "ap" and look.ap:
        return 1 - sum(look.ap.values()) / len(look.ap)
    loss = judged_loss(look.terms)
    return math.inf if loss is None else loss


def _memory() -> int | None:
    """Largest use so far in bytes."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return torch.cuda.max_memory_allocated()
    try:
        import resource
    except ImportError:  # Windows
        return None
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024
