"""A training in plain lines, for a pipe, a file or whoever wants no picture."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType

from ffcli.messages import note_line
from ffcli.training.display import LAST_STEP, Display
from ffcli.training.report import teacher_line
from ffcli.training.state import Series, TrainingState
from ffcli.training.words import duration, headline, number, unhealthy
from ffcore.distillation.job import TeacherScored
from ffcore.events import Event
from ffcore.training.early_stopping import judged_loss
from ffcore.training.events import EpochStarted, RunStarted, StepDone, Validated

_SECONDS, _LATER_SECONDS = 5.0, 30.0  # between lines, at first and later
_LATER = 600.0


class Lines(Display):
    """Plain lines on stderr: one every few seconds, one a validation, one for whatever is out of order.

    Args:
        clock: Seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self.state = TrainingState(clock)
        self._begun = self._told = self.state.clock()

    def on_event(self, event: Event) -> None:
        """Writes a line when it is time to."""
        state = self.state
        if isinstance(event, EpochStarted) and event.epoch != state.epoch and state.batch >= 0:
            self.say(self._epoch_line())
        line = state.on_event(event)
        if line is not None:
            self.say(line)
        match event:
            case TeacherScored():
                self.say(teacher_line(event))
            case RunStarted():
                self.say(f"{headline(event)}; {event.folder}")
                if event.first_step:
                    self.say(f"goes on after {event.first_step:,} steps")
            case StepDone() if self._it_is_time():
                self.say(self._step_line())
            case Validated():
                self.say(_validation_line(event))

    def say(self, line: str) -> None:
        """Writes a line."""
        note_line(line)

    def interrupted(self) -> None:
        """Writes past Python's buffers, which the signal may have found in use."""
        os.write(2, f"{LAST_STEP}\n".encode())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.state.batch >= 0:
            self.say(self._epoch_line())

    def _it_is_time(self) -> bool:
        now = self.state.clock()
        pause = _SECONDS if now - self._begun < _LATER else _LATER_SECONDS
        if now - self._told < pause:
            return False
        self._told = now
        return True

    def _where(self) -> str:
        run = self.state.run
        assert run is not None
        return f"epoch {self.state.epoch + 1}/{run.epochs}"

    def _step_line(self) -> str:
        state = self.state
        assert state.run is not None
        terms = " ".join(f"{name} {number(each.now)}" for name, each in _all_series(state))
        return (
            f"{self._where()} step {state.batch + 1}/{state.run.batches}: {terms}, gradient "
            f"{number(state.gradient.now)}, rate {state.rate:.2e}, {state.images_per_second:.1f} images/s, "
            f"{duration(state.seconds_left)} left"
        )

    def _epoch_line(self) -> str:
        state = self.state
        terms = " ".join(f"{name} {number(each.mean)}" for name, each in _all_series(state))
        line = (
            f"{self._where()}, mean of {len(_longest(state.terms)):,} steps: {terms}, gradient median "
            f"{number(state.gradient.median)} max {number(state.gradient.largest)}"
        )
        return f"{line}, {unhealthy(state)}" if state.unhealthy_steps else line


def _validation_line(seen: Validated) -> str:
    aps = "".join(f", AP {name} {100 * value:.2f}" for name, value in seen.ap.items())
    best = ", the best so far" if seen.best else ""
    loss = number(judged_loss(seen.terms))
    return f"validation after epoch {seen.epoch + 1}: loss {loss}{aps}{best} ({duration(seen.seconds)})"


def _all_series(state: TrainingState) -> Iterator[tuple[str, Series]]:
    """Terms and measures, as a line of text has them."""
    yield from state.terms.items()
    yield from state.measures.items()


def _longest(terms: Mapping[str, Series]) -> list[float]:
    return max((each.epoch for each in terms.values()), key=len, default=[])
