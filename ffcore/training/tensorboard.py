"""A listener that writes what a training reports as events for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ffcore.errors import MissingDependencyError
from ffcore.events import Event
from ffcore.training.events import EpochStarted, RolledBack, RunStarted, StepDone, Validated

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FOLDER = "tensorboard"
"""Where the events of a run are, in its folder."""


class TensorBoardWriter:
    """Takes the events of a training; give it to ``train(..., on_event=...)``.

    The x-axis is the step everywhere. A run that goes on, or back, hides what earlier files hold from that
    step on.

    Raises:
        MissingDependencyError: TensorBoard is not installed.
    """

    def __init__(self) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter  # noqa: F401  (said now, not at the first step)
        except ImportError as error:
            raise MissingDependencyError(
                'writing events needs TensorBoard: pip install "featherface[train]"'
            ) from error
        self._writer: SummaryWriter | None = None
        self._folder = Path()
        self._step = 0
        self._settings: Mapping[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __call__(self, event: Event) -> None:
        """Writes an event, if it holds numbers."""
        match event:
            case RunStarted():
                self._folder = event.folder / FOLDER
                self._begin(event.first_step)
            case RolledBack():
                self._begin(event.step)
            case EpochStarted():
                self._settings = event.settings
            case StepDone():
                self._write_step(event)
            case Validated():
                self._scalars("validation", event.terms)
                self._scalars("ap", event.ap)
                self._flush()

    def close(self) -> None:
        """Writes what is left; further events need another writer."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _begin(self, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.close()
        self._writer = SummaryWriter(str(self._folder), purge_step=step or None, flush_secs=30)

    def _write_step(self, event: StepDone) -> None:
        report = event.report
        self._step = report.step
        self._scalars("loss", report.terms)
        self._scalars("measure", report.measures)
        if event.batch == 0:
            self._scalars("setting", self._settings)
        numbers = {"rate": report.rate, "images_per_second": event.images_per_second}
        if report.gradient_norm is not None:
            numbers["gradient_norm"] = report.gradient_norm
        if event.memory is not None:
            numbers["memory_gb"] = event.memory / 1e9
        self._scalars("step", numbers)

    def _scalars(self, group: str, values: Mapping[str, float]) -> None:
        if self._writer is None:
            return
        for name, value in values.items():
            self._writer.add_scalar(f"{group}/{name}", value, self._step)

    def _flush(self) -> None:
        if self._writer is not None:
            self._writer.flush()
