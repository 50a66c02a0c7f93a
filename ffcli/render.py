"""What a person sees: tables, progress and messages, drawn from values of the library."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from ffcli.messages import note_line
from ffcore.events import Advanced, Event, Failed, Noticed, Started

if TYPE_CHECKING:
    from ffcore.detection import Backend
    from ffcore.detection.job import Found
    from ffcore.evaluation.job import Evaluation
    from ffcore.evaluation.mistakes import Mistakes
    from ffcore.evaluation.result import EvaluationResult
    from ffcore.models.profile import Cost, Profile

PRECISIONS = (0.90, 0.95, 0.99)
"""Columns of the table of an evaluation."""

FACES_SHOWN = 40
"""Rows of the summary; a folder of a thousand photos is no table any more."""

NAMES_NEED = 16
"""Columns that the names of sources get before others are left out."""


def console_for(stream_name: str) -> Console:
    """A console on stdout or stderr, wide enough for one line a row where nobody reads columns."""
    stream = getattr(sys, stream_name)
    return Console(file=stream, width=None if stream.isatty() else 10_000, highlight=False, soft_wrap=True)


@dataclass
class _Row:
    """One source in the summary."""

    name: str
    size: str
    faces: int = 0
    frames: int = 0
    best: float = 0.0
    note: str = ""


class ProgressLine:
    """A bar on stderr while a job runs, and a line for everything that fails or is noteworthy.

    The bar is drawn for a terminal only.

    Args:
        show: Whether anything but failures is wanted.
        results_on_terminal: Whether results run over the same terminal, where a bar would tear them.
    """

    def __init__(self, *, show: bool, results_on_terminal: bool = False) -> None:
        self._stderr = console_for("stderr")
        self._talk = show
        self._tasks: list[TaskID] = []
        self.failed: list[str] = []
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self._stderr,
            transient=True,
            # Rich would send what is written to stdout through the bar's console, which is stderr.
            redirect_stdout=False,
            redirect_stderr=False,
            disable=not (show and self._stderr.is_terminal and not results_on_terminal),
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def engine(self, backend: Backend) -> None:
        """Says what really computes."""
        if self._talk:
            network = f"{backend.facts.network} " if backend.facts.network else ""
            self._say(f"{network}on {backend.device} with {backend.name}")

    def on_event(self, event: Event) -> None:
        """Draws one event of the library."""
        match event:
            case Started():
                # escape: a name in brackets would be taken for a colour
                self._tasks.append(self._progress.add_task(escape(event.what), total=event.total))
            case Advanced():
                self._progress.advance(self._tasks[-1])
            case Failed():
                if self._tasks:
                    self._progress.advance(self._tasks[-1])
                self.problem(f"{event.name}: {event.reason.removeprefix(f'{event.name}: ')}")
            case Noticed():
                if self._talk:
                    self._say(f"{event.name}: {_with_options(event)}")

    def problem(self, message: str) -> None:
        """Names something that failed; the job goes on."""
        self.failed.append(message)
        self._say(f"featherface: {message}")

    def _say(self, line: str) -> None:
        if self._stderr.is_terminal:
            self._stderr.print(Text(line))
        else:
            note_line(line)


def _with_options(event: Noticed) -> str:
    """The message with the settings in it spelled as options of the command."""
    message = event.message
    for name in event.settings:
        message = re.sub(rf"\b{re.escape(name)}\b", f"--{name.replace('_', '-')}", message)
    return message


class Reporter(ProgressLine):
    """Shows how a detection goes, and in the end what it found.

    The summary goes to stdout unless results go there.

    Args:
        table: Whether the summary is wanted.
        progress: Whether progress and notes are wanted.
        results_on_stdout: Whether stdout belongs to the results.
    """

    def __init__(self, *, table: bool, progress: bool, results_on_stdout: bool) -> None:
        super().__init__(show=progress, results_on_terminal=results_on_stdout and sys.stdout.isatty())
        self._results_on_stdout = results_on_stdout
        self._table = table
        self._rows: dict[str, _Row] = {}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        if kind is None:
            self._summary()

    def add(self, found: Found) -> None:
        """Takes one result into the summary."""
        result, name = found.result, found.source.name
        row = self._rows.setdefault(name, _Row(name, f"{result.width}×{result.height}"))
        row.faces += len(result.faces)
        row.frames += found.frame is not None
        row.best = max(row.best, float(result.faces.scores.max(initial=0.0)))
        if found.seen is not None:
            row.note = f"seen at {found.seen[0]}×{found.seen[1]}"

    def _summary(self) -> None:
        rows = list(self._rows.values())
        if not self._table or (not rows and not self.failed):
            return
        on_stdout = not self._results_on_stdout
        console = console_for("stdout") if on_stdout else self._stderr
        if console.is_terminal:
            console.print(self._drawn(rows, console.width))
        elif on_stdout:
            for row in rows:
                sys.stdout.write(f"{row.name}\t{row.size}\t{row.faces}\n")

    def _drawn(self, rows: Sequence[_Row], width: int) -> Table:
        table = Table(box=None, pad_edge=False, header_style="bold", caption_justify="left")
        table.add_column("source", overflow="fold")
        columns = _columns_that_fit(rows[:FACES_SHOWN], width)
        for title in columns:
            note = title == "note"
            table.add_column(
                title, justify="left" if note else "right", style="dim" if note else "", no_wrap=True
            )
        for number, row in enumerate(rows[:FACES_SHOWN]):
            table.add_row(Text(row.name), *(cells[number] for cells in columns.values()))
        total = f"{_count(sum(row.faces for row in rows), 'face')} in {_count(len(rows), 'source')}"
        more = f", {len(rows) - FACES_SHOWN} more sources not listed" if len(rows) > FACES_SHOWN else ""
        failures = f", {len(self.failed)} failed" if self.failed else ""
        table.caption = total + more + failures
        return table


def _columns_that_fit(rows: Sequence[_Row], width: int) -> dict[str, list[str]]:
    """The columns beside the names, title to cells, with no number cut and room for the names.

    On a narrow terminal a title takes two lines; then the note is left out, which was a line of its own
    while the job ran; then the size.
    """
    columns = {"size": [row.size for row in rows]}
    if any(row.frames for row in rows):
        columns["frames"] = [str(row.frames or "") for row in rows]
    columns["faces"] = [str(row.faces) for row in rows]
    best = [f"{row.best:.2f}" if row.faces else "" for row in rows]
    notes = {"note": [row.note for row in rows]} if any(row.note for row in rows) else {}
    wide = {**columns, "best score": best, **notes}
    narrow = {**columns, "best\nscore": best}
    choices = [wide, {**narrow, **notes}, narrow]
    names = min(max((len(row.name) for row in rows), default=0), NAMES_NEED)
    for choice in choices:
        if names + sum(2 + _widest(title, cells) for title, cells in choice.items()) <= width:
            return choice
    return {title: cells for title, cells in narrow.items() if title != "size"}


def _widest(title: str, cells: Sequence[str]) -> int:
    return max(map(len, [*title.splitlines(), *cells]))


def print_profiles(profiles: Sequence[Profile]) -> None:
    """Tables of what networks cost: one network by component, or several side by side."""
    console = console_for("stdout")
    first = profiles[0]
    height, width = first.size
    beside = _component_table(profiles, first)
    unbound = console.options.update(max_width=10_000)  # or it would be measured as squeezed already
    if console.measure(beside, options=unbound).maximum <= console.width:
        console.print(beside)
    else:
        for found in profiles:
            console.print(_component_table([found], first, title=f"\n{found.network}"))
    for found in profiles:
        timed = (
            ""
            if found.milliseconds is None
            else f", {found.milliseconds:.1f} ms for one image on the CPU with {found.threads} threads"
        )
        console.print(Text(f"{found.network}: {found.megabytes:.2f} MB as float32{timed}"))
    console.print(Text(f"MACs at {height}×{width}: {first.to_dict()['macs_convention']}.", style="dim"))
    for found in profiles:
        if found.modules:
            console.print(_module_table(found))


def _component_table(profiles: Sequence[Profile], first: Profile, *, title: str | None = None) -> Table:
    """Networks side by side, compared with the first one; a single one may have its name as title."""
    table = Table(box=None, pad_edge=False, header_style="bold", title=title, title_justify="left")
    table.add_column("component", no_wrap=True)
    for found in profiles:
        name, above = ("", "") if title else (f"{found.network}\n", "\n")
        table.add_column(f"{name}parameters", justify="right")
        table.add_column(f"{above}MMAC", justify="right")
        table.add_column(f"{above}{'share' if found is first else 'change'}", justify="right")
    for name in [*first.components, "total"]:
        cells: list[str] = []
        for found in profiles:
            cost = _cost(found, name)
            cells += [f"{cost.parameters:,}", f"{cost.macs / 1e6:,.1f}"]
            before, whole = _cost(first, name).parameters, found.total.parameters
            share = f"{100 * cost.parameters / whole:.1f} %"
            cells.append(share if found is first else _change(before, cost.parameters))
        table.add_row(name, *cells, style="bold" if name == "total" else None, end_section=name == "heads")
    return table


def _module_table(found: Profile) -> Table:
    table = Table(
        box=None, pad_edge=False, header_style="bold", title=f"\n{found.network}", title_justify="left"
    )
    table.add_column("module")
    table.add_column("parameters", justify="right")
    table.add_column("MMAC", justify="right")
    for name, cost in found.modules.items():
        indent = "  " * name.count(".")
        table.add_row(f"{indent}{name.rpartition('.')[2]}", f"{cost.parameters:,}", f"{cost.macs / 1e6:,.2f}")
    return table


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _cost(found: Profile, name: str) -> Cost:
    return found.total if name == "total" else found.components[name]


def _change(before: int, after: int) -> str:
    if not before:
        return "new" if after else ""
    return f"{100 * (after / before - 1):+.1f} %"


def print_evaluation(evaluation: Evaluation, earlier: EvaluationResult | None = None) -> None:
    """The score as a table, with all that must be said beside it."""
    console = console_for("stdout")
    result = evaluation.result
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("subset")
    table.add_column("AP", justify="right", style="bold")
    if earlier is not None:
        table.add_column("before", justify="right")
    table.add_column("faces", justify="right")
    for precision in PRECISIONS:
        table.add_column(f"recall at {100 * precision:.0f} %", justify="right")
    for subset in result.subsets:
        cells = [subset.name, subset.percent]
        if earlier is not None:
            before = earlier.ap.get(subset.name)
            cells.append("n/a" if before is None else f"{100 * before:.2f}")
        cells.append(f"{subset.faces:,}")
        for precision in PRECISIONS:
            recall = subset.recall_at_precision[precision]
            cells.append("n/a" if recall is None else f"{100 * recall:.2f}")
        table.add_row(*cells)
    console.print(table)
    lines = [f"{result.images:,} images, {result.boxes:,} boxes; {result.protocol_text}", *result.remarks]
    if evaluation.model:
        lines.append(", ".join(f"{key} {value[:16]}" for key, value in evaluation.model.items() if value))
    if evaluation.run is not None and evaluation.run.predicted:
        run = evaluation.run
        lines.append(
            f"{run.predicted:,} photos in {run.seconds:.1f} s, {run.images_per_second:.1f} a second, "
            f"the network busy {100 * run.busy:.0f} % of the time"
        )
    for line in lines:
        console.print(Text(line, style="dim"))


def print_mistakes(mistakes: Sequence[Mistakes]) -> None:
    """For each kind of mistake how many there are and what they cost, subset by subset."""
    from ffcore.evaluation.mistakes import KINDS

    console = console_for("stdout")
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("mistake")
    for each in mistakes:
        table.add_column(each.subset, justify="right")
        table.add_column("costs", justify="right", style="bold")
    table.add_column("", style="dim")
    for row, (kind, meaning) in enumerate(KINDS.items()):
        cells = [(f"{each.kinds[row].count:,}", f"{100 * each.kinds[row].cost:.2f}") for each in mistakes]
        table.add_row(kind, *(cell for pair in cells for cell in pair), meaning)
    console.print()
    console.print(table)
    best = "; ".join(
        f"{each.subset} {each.score:.3f} (precision {100 * each.precision:.1f} %, "
        f"recall {100 * each.recall:.1f} %)"
        for each in mistakes
    )
    console.print(Text(f"boxes from the score of the best F1 on: {best}", style="dim"))
