"""A training as a live picture on a terminal."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Self

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ffcli.training.display import LAST_STEP, Display
from ffcli.training.report import teacher_line
from ffcli.training.state import TrainingState
from ffcli.training.words import duration, headline, number, sparkline, unhealthy
from ffcore.events import Event
from ffcore.training.early_stopping import judged_loss
from ffcore.training.events import RunStarted
from ffcore.training.health import LOSS_HIGH, NORM_HIGH, NORM_LOW

_PICTURES_PER_SECOND = 3  # more would cost a small machine more than it tells
_NAME, _NUMBER, _TREND = 16, 9, 32  # columns of a name, of a number, and of a trend at most
_SET_IN = "  "  # before the name of a part of a sum


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
            Text(number(series.now), style=style),
            number(series.mean),
            number(held_back.get(name)),
            Text(sparkline(series.trend.points, trend, ascii_only=ascii_only), style="cyan"),
        )
    for name, series in state.measures.items():
        curve = sparkline(series.trend.points, trend, ascii_only=ascii_only)
        table.add_row(name, number(series.now), number(series.mean), "", Text(curve, style="green"))
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
        health = Text(unhealthy(state), style="yellow")
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
                number(judged_loss(seen.terms)),
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
    for head in numbers:
        table.add_column(head, justify="right", no_wrap=True, min_width=_NUMBER)
    if trend is not None:
        table.add_column(trend, no_wrap=True)
    return table


def _subset(name: str) -> str:
    """A subset of faces as the head of a column; bands of height are called by their limit."""
    return f"AP {name.replace('height>=', '≥')}"


def _norm(value: float | None) -> Text:
    healthy = value is None or NORM_LOW <= value <= NORM_HIGH
    return Text(number(value), style="" if healthy else "bold red")
