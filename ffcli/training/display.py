"""How a training looks while it runs: a live picture on a terminal, plain lines everywhere else."""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise
from types import TracebackType
from typing import Self

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ffcli.messages import note_line
from ffcli.render import console_for
from ffcli.training.report import teacher_line
from ffcli.training.state import Series, TrainingState
from ffcore.distillation.job import TeacherScored
from ffcore.events import Event
from ffcore.training.events import EpochStarted, RunStarted, StepDone, Validated
from ffcore.training.health import LOSS_HIGH, NORM_HIGH, NORM_LOW

LAST_STEP = "finishing this step and saving; once more to leave at once"
"""Said at the first Ctrl-C."""

_PICTURES_PER_SECOND = 3  # more would cost a small machine more than it tells
_LINE_SECONDS, _LATER_SECONDS, _LATER = (
    5.0,
    30.0,
    600.0,
)  # between plain lines, and when it becomes less often
_NAME, _NUMBER, _TREND = 16, 9, 32  # columns of a name, of a number, and of a trend at most
_SET_IN = "  "  # before the name of a part of a sum
_BLOCKS, _PLAIN_BLOCKS = "▁▂▃▄▅▆▇█", "_.-=+*#"


class Display:
    """What a training is shown with; this one shows nothing.

    Attributes:
        state: What is known of the training.
    """

    def __init__(self) -> None:
        self.state = TrainingState()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def on_event(self, event: Event) -> None:
        """Shows an event."""
        self.state.on_event(event)

    def say(self, line: str) -> None:
        """Shows a line that is no event."""

    def interrupted(self) -> None:
        """Says that the run will stop soon; a signal calls it, in the middle of anything."""


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
        pause = _LINE_SECONDS if now - self._begun < _LATER else _LATER_SECONDS
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
        terms = " ".join(f"{name} {_number(each.now)}" for name, each in _all_series(state))
        return (
            f"{self._where()} step {state.batch + 1}/{state.run.batches}: {terms}, gradient "
            f"{_number(state.gradient.now)}, rate {state.rate:.2e}, {state.images_per_second:.1f} images/s, "
            f"{duration(state.seconds_left)} left"
        )

    def _epoch_line(self) -> str:
        state = self.state
        terms = " ".join(f"{name} {_number(each.mean)}" for name, each in _all_series(state))
        line = (
            f"{self._where()}, mean of {len(_longest(state.terms)):,} steps: {terms}, gradient median "
            f"{_number(state.gradient.median)} max {_number(state.gradient.largest)}"
        )
        return f"{line}, {_unhealthy(state)}" if state.unhealthy_steps else line


class Picture(Display):
    """A live picture on stderr, which must be a terminal.

    Args:
        console: Where it is drawn.
    """

    def __init__(self, console: Console | None = None) -> None:
        super().__init__()
        self._lock = threading.Lock()  # a thread of Rich draws while the training goes on
        self._stopping = False
        self._live = Live(
            console=console or Console(stderr=True, highlight=False),
            get_renderable=self._drawn,
            refresh_per_second=_PICTURES_PER_SECOND,
            # what is written to stdout must not be sent to stderr
            redirect_stdout=False,
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def on_event(self, event: Event) -> None:
        """Takes an event in; it is seen in the next picture."""
        with self._lock:
            self.state.on_event(event)

    def say(self, line: str) -> None:
        """Writes a line above the picture."""
        self._live.console.print(Text(line))

    def interrupted(self) -> None:
        """The next picture says it; nothing can be drawn from within a signal."""
        self._stopping = True

    def _drawn(self) -> RenderableType:
        return _Frame(self.state, self._lock, stopping=self._stopping)


class _Frame:
    """One picture, drawn for the width that it gets."""

    def __init__(self, state: TrainingState, lock: threading.Lock, *, stopping: bool) -> None:
        self._state, self._lock, self._stopping = state, lock, stopping

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        def drawn(*, compact: bool) -> RenderableType:
            return draw(
                self._state,
                width=options.max_width,
                ascii_only=options.ascii_only,
                stopping=self._stopping,
                compact=compact,
            )

        with self._lock:
            whole = drawn(compact=False)
            fits = len(console.render_lines(whole, options, pad=False)) <= options.max_height
            yield whole if fits else drawn(compact=True)


def draw(
    state: TrainingState,
    *,
    width: int,
    ascii_only: bool = False,
    stopping: bool = False,
    compact: bool = False,
) -> RenderableType:
    """The picture of a training.

    Args:
        state: What is known.
        width: Columns.
        ascii_only: Whether the terminal has no block characters.
        stopping: Whether Ctrl-C was pressed.
        compact: Whether to do without blank lines and without the parts of sums, for a low terminal.
    """
    if state.run is None:
        return _preparing(state, width)
    trend = max(0, min(_TREND, width - (_NAME + 1) - 3 * (_NUMBER + 1)))
    parts: list[RenderableType] = [
        Text(headline(state.run), style="bold"),
        Text(str(state.run.folder), style="dim", overflow="ellipsis", no_wrap=True),
        _progress(state, state.run, width),
        Text(_pace(state), overflow="ellipsis", no_wrap=True),
    ]
    for part in (
        _terms(state, trend, ascii_only, compact=compact),
        _gradient(state, trend, ascii_only),
        _validations(state, state.run),
    ):
        parts += [part] if compact else [Text(), part]
    if state.saved is not None:
        event, moment = state.saved
        ago = duration(state.clock() - moment)
        parts.append(Text(f"saved at step {event.step:,}, {ago} ago", style="dim"))
    parts += [Text(line, style="yellow") for line in state.messages]
    if stopping:
        parts.append(Text(LAST_STEP, style="bold yellow"))
    return Group(*parts)


def headline(run: RunStarted) -> str:
    """What is trained on what, in one line."""
    device = run.device if run.processes == 1 else f"{run.processes} processes on {run.device}"
    held = f", {run.held_back:,} held back" if run.held_back else ""
    return f"{run.model}, {run.parameters:,} parameters, on {device}, {run.photos:,} photos{held}"


def duration(seconds: float) -> str:
    """``12 s``, ``3:07 min``, ``5:02 h`` or ``4 days 3 h``."""
    whole = round(max(seconds, 0.0))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02} min"
    if whole < 86_400:
        return f"{whole // 3600}:{whole % 3600 // 60:02} h"
    days = f"{whole // 86_400} day{'s' if whole >= 2 * 86_400 else ''}"
    return f"{days} {whole % 86_400 // 3600} h"


def sparkline(values: list[float], width: int, *, ascii_only: bool = False) -> str:
    """A curve of one line, from its lowest to its highest value.

    Args:
        values: Finite.
        width: Columns at most.
        ascii_only: Whether to do without block characters.
    """
    if not values or width < 1:
        return ""
    columns = min(width, len(values))
    edges = [round(i * len(values) / columns) for i in range(columns + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in pairwise(edges)]
    low, high = min(means), max(means)
    blocks = _PLAIN_BLOCKS if ascii_only else _BLOCKS
    if high - low <= 1e-12 * max(abs(high), abs(low)):
        return blocks[len(blocks) // 2] * columns
    return "".join(blocks[round((value - low) / (high - low) * (len(blocks) - 1))] for value in means)


def _preparing(state: TrainingState, width: int) -> RenderableType:
    if state.preparing is None:
        reading = Text("reading labels …", style="dim")
        return reading if state.teacher is None else Group(Text(teacher_line(state.teacher)), reading)
    what, done, total = state.preparing
    table = _grid()
    table.add_row(
        what, ProgressBar(total=total, completed=done, width=min(40, width // 3)), f"{done:,}/{total or '?'}"
    )
    return table


def _progress(state: TrainingState, run: RunStarted, width: int) -> Table:
    bar = max(8, min(60, width - 46))
    done = state.step + 1
    total = run.epochs * run.batches
    table = _grid()
    table.add_row(
        f"epoch {state.epoch + 1}/{run.epochs}",
        ProgressBar(total=run.batches, completed=state.batch + 1, width=bar),
        f"{state.batch + 1:,}/{run.batches:,}",
        _after_steps(state)
        if state.batch + 1 == run.batches
        else f"{duration(state.epoch_seconds_left)} left",
    )
    table.add_row(
        "all epochs",
        ProgressBar(total=total, completed=done, width=bar),
        f"{100 * done / total:.1f} %",
        f"{duration(state.seconds_left)} left",
    )
    return table


def _after_steps(state: TrainingState) -> str:
    return "validating …" if state.validating else "saving …"


def _pace(state: TrainingState) -> str:
    parts = [f"{state.images_per_second:.1f} images/s", f"rate {state.rate:.2e}"]
    if state.memory is not None:
        parts.append(f"memory {state.memory / 1e9:.2f} GB")
    # what is measured at each step has a line of its own
    parts += [f"{name} {value:.3g}" for name, value in state.settings.items() if name not in state.measures]
    if state.rollbacks:
        parts.append(f"went back {state.rollbacks} ×")
    return " · ".join(parts)


def _terms(state: TrainingState, trend: int, ascii_only: bool, *, compact: bool) -> Table:
    held_back = state.last.terms if state.last is not None else {}
    table = _columns("loss", "now", "mean", "held back", trend="trend" if trend else "")
    for name, label in _in_order(state.terms):
        if compact and label.startswith(_SET_IN):
            continue
        series = state.terms[name]
        style = "bold red" if series.now is not None and not series.now <= LOSS_HIGH else ""
        table.add_row(
            Text(label, style="bold" if name == "total" else ""),
            Text(_number(series.now), style=style),
            _number(series.mean),
            _number(held_back.get(name)),
            Text(sparkline(series.trend.points, trend, ascii_only=ascii_only), style="cyan"),
        )
    for name, series in state.measures.items():
        curve = sparkline(series.trend.points, trend, ascii_only=ascii_only)
        table.add_row(name, _number(series.now), _number(series.mean), "", Text(curve, style="green"))
    return table


def _in_order(names: Iterable[str]) -> list[tuple[str, str]]:
    """Names of terms and how they are shown: a sum, then its parts set in."""
    rest = [name for name in names if name not in ("total", "task", "distill", "feature")]
    taught = [name for name in rest if name.startswith("distill_")]
    own = [name for name in rest if name not in taught]
    if "task" not in names:
        return [(name, name) for name in ("total", *own) if name in names]
    shown = [("total", "total"), ("task", "task"), *((name, _SET_IN + name) for name in own)]
    shown += [("distill", "distill"), *((name, _SET_IN + name.removeprefix("distill_")) for name in taught)]
    return [(name, label) for name, label in [*shown, ("feature", "feature")] if name in names]


def _gradient(state: TrainingState, trend: int, ascii_only: bool) -> Group:
    series = state.gradient
    table = _columns("gradient", "now", "median", "largest", trend="trend" if trend else "")
    curve = [math.log10(max(value, NORM_LOW)) for value in series.trend.points]
    table.add_row(
        "norm",
        _norm(series.now),
        _norm(series.median),
        _norm(series.largest),
        Text(sparkline(curve, trend, ascii_only=ascii_only), style="cyan"),
    )
    health = Text("healthy" if state.batch >= 0 else "", style="green")
    if state.unhealthy_steps:
        health = Text(_unhealthy(state), style="yellow")
    return Group(table, health)


def _validations(state: TrainingState, run: RunStarted) -> RenderableType:
    if not run.held_back:
        return Text("no photos are held back: there is no validation", style="dim")
    scored = state.last or state.teacher
    if scored is None:
        return Text("not validated yet", style="dim")
    subsets = list(scored.ap)
    table = _columns("validation", "loss", *map(_subset, subsets))
    if state.teacher is not None:
        table.add_row(f"teacher {state.teacher.name}", "", *_percent(state.teacher.ap, subsets), style="dim")
    for name, seen in (("last", state.last), ("best", state.best)):
        if seen is not None:
            table.add_row(
                f"{name}, epoch {seen.epoch + 1}",
                _number(seen.terms.get("total")),
                *_percent(seen.ap, subsets),
                style="bold" if name == "best" else "",
            )
    return table


def _percent(ap: Mapping[str, float], subsets: list[str]) -> list[str]:
    return [f"{100 * ap[name]:.2f}" if name in ap else "" for name in subsets]


def _grid() -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column()
    table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    return table


def _columns(name: str, *numbers: str, trend: str | None = None) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 1, 0, 0))
    table.add_column(name, width=_NAME)
    for number in numbers:
        table.add_column(number, justify="right", no_wrap=True, min_width=_NUMBER)
    if trend is not None:
        table.add_column(trend, no_wrap=True)
    return table


def _subset(name: str) -> str:
    """A subset of faces as the head of a column; bands of height are called by their limit."""
    return f"AP {name.replace('height>=', '≥')}"


def _norm(value: float | None) -> Text:
    healthy = value is None or NORM_LOW <= value <= NORM_HIGH
    return Text(_number(value), style="" if healthy else "bold red")


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.4f}" if 1e-3 <= abs(value) < 100 or value == 0 else f"{value:.4g}"


def _unhealthy(state: TrainingState) -> str:
    """How often steps of this epoch were not sound."""
    if not state.unhealthy_steps:
        return ""
    kinds = ", ".join(f"{count} × {kind}" for kind, count in state.findings[0].items())
    return f"{len(state.unhealthy_steps):,} of {state.batch + 1:,} steps unhealthy ({kinds})"


def _validation_line(seen: Validated) -> str:
    aps = "".join(f", AP {name} {100 * value:.2f}" for name, value in seen.ap.items())
    best = ", the best so far" if seen.best else ""
    loss = _number(seen.terms.get("total"))
    return f"validation after epoch {seen.epoch + 1}: loss {loss}{aps}{best} ({duration(seen.seconds)})"


def _all_series(state: TrainingState) -> Iterator[tuple[str, Series]]:
    """Terms and measures, as a line of text has them."""
    yield from state.terms.items()
    yield from state.measures.items()


def _longest(terms: Mapping[str, Series]) -> list[float]:
    return max((each.epoch for each in terms.values()), key=len, default=[])


def make_display(*, quiet: bool, plain: bool) -> Display:
    """What fits where stderr goes to."""
    if quiet:
        return Display()
    if plain or not console_for("stderr").is_terminal or not sys.stderr.isatty():
        return Lines()
    return Picture()
