"""What a training says before it begins and when it is over."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from ffcli.messages import note_line
from ffcli.render import console_for
from ffcore.config.layers import Resolved, flat, to_toml
from ffcore.training.early_stopping import judged_loss
from ffcore.training.run_folder import BEST, CHECKPOINT, LAST, METRICS

if TYPE_CHECKING:
    from ffcore.data.report import DataReport
    from ffcore.distillation.job import TeacherScored
    from ffcore.training.data import RunData
    from ffcore.training.health import DivergedError
    from ffcore.training.job import TrainingResult
    from ffcore.training.run_config import RunConfig

_EXAMPLES = 3  # defects shown of each kind; --json lists all of them
_COLUMN = 40  # where origins begin, unless a value is longer


def print_settings(resolved: Resolved[RunConfig]) -> None:
    """All settings as a TOML file, with the origin of each as a comment."""
    console = console_for("stdout")
    section = ""
    for line in to_toml(resolved.config).splitlines():
        name, equals, _ = line.partition(" = ")
        if not equals:
            section = f"{line.strip('[]')}." if line else section
            console.print(Text(line, style="bold"))
            continue
        origin = resolved.origins[section + name]
        chosen = "" if origin == "default" else "green"
        shown = Text(line.ljust(_COLUMN), style=chosen)
        console.print(shown.append(f"  # {origin}", style="dim"))


def settings_document(resolved: Resolved[RunConfig]) -> dict[str, Any]:
    """All settings as plain values, with the origin of each."""
    return {"settings": flat(resolved.config), "origins": resolved.origins}


def print_data(data: RunData) -> None:
    """What was found in the labels and photos."""
    console = console_for("stdout")
    report = data.report
    unlabelled = _unlabelled(data)
    learn = f"{len(data.train) - unlabelled:,} to learn from"
    held = f"{len(data.validation):,} held back"
    console.print(Text(f"{report.images:,} photos can be used, {learn}, {held}"))
    if unlabelled:
        console.print(Text(f"{unlabelled:,} photos without labels besides"))
    with_landmarks = f"{report.faces_with_landmarks:,} with landmarks"
    console.print(Text(f"{report.faces:,} faces, {with_landmarks}"))
    if report.notes:
        notes = Table(box=None, pad_edge=False, header_style="bold")
        notes.add_column("worth knowing", min_width=24)
        notes.add_column("times", justify="right")
        for note, times in report.notes.items():
            notes.add_row(_words(note), f"{times:,}")
        console.print(notes)
    if not report.defects:
        console.print(Text("no defects", style="green"))
        return
    defects = Table(box=None, pad_edge=False, header_style="bold")
    defects.add_column("left out", min_width=24)
    defects.add_column("times", justify="right")
    for kind, times in report.counts.items():
        defects.add_row(Text(_words(kind), style="yellow"), f"{times:,}")
    console.print(defects)
    for kind, times in report.counts.items():
        of_kind = [defect for defect in report.defects if defect.kind == kind]
        for defect in of_kind[:_EXAMPLES]:
            console.print(Text(f"  {defect}"))
        if times > _EXAMPLES:
            console.print(Text(f"  … {times - _EXAMPLES:,} more {_words(kind)}", style="dim"))


def data_document(data: RunData) -> dict[str, Any]:
    """The same as plain values, with every defect."""
    report: DataReport = data.report
    return {
        "photos": report.images,
        "learnt_from": len(data.train),
        "unlabelled": _unlabelled(data),
        "held_back": len(data.validation),
        "faces": report.faces,
        "faces_with_landmarks": report.faces_with_landmarks,
        "notes": dict(report.notes),
        "counts": report.counts,
        "defects": [asdict(defect) for defect in report.defects],
    }


def print_result(
    result: TrainingResult, *, epochs: int, plots: list[Path], teacher: TeacherScored | None = None
) -> None:
    """How a run ended, what it left, and what to do next."""
    console = console_for("stdout")
    console.print(Text(f"{result.ending} after {result.steps:,} steps of at most {epochs:,} epochs"))
    if result.best is not None:
        aps = "".join(f", AP {name} {100 * value:.2f}" for name, value in result.best.ap.items())
        judged = judged_loss(result.best.terms)
        loss = "" if judged is None else f"loss {judged:.4f}"
        console.print(Text(f"best validation: {loss}{aps}", style="bold"))
    if teacher is not None:
        console.print(Text(teacher_line(teacher)))
    left = {
        BEST: "weights of the best validation",
        LAST: "weights of the last step",
        CHECKPOINT: "state to go on from",
        METRICS: "every step and validation",
    }
    left = {name: what for name, what in left.items() if (result.folder / name).exists()}
    if plots:
        left[plots[0].parent.name] = f"{len(plots)} pictures of the run"
    for name, what in left.items():
        console.print(Text(f"{result.folder / name}: ").append(what, style="dim"))
    for command in next_commands(result):
        console.print(Text(f"next: {command}"))


def teacher_line(teacher: TeacherScored) -> str:
    """What the teacher can do, as validations have it."""
    aps = ", ".join(f"AP {name} {100 * value:.2f}" for name, value in teacher.ap.items())
    return f"teacher {teacher.name} on the same photos: {aps}"


def next_commands(result: TrainingResult) -> list[str]:
    """What one would type now."""
    if result.weights is None:
        return []
    return [
        f"featherface detect photo.jpg --model {result.weights}",
        f"featherface eval-widerface --ground-truth DIR --data DIR --model {result.weights}",
    ]


def result_document(
    result: TrainingResult, *, plots: list[Path], teacher: TeacherScored | None = None
) -> dict[str, Any]:
    """How a run ended as plain values; the teacher is there where it was scored."""
    best = result.best
    scored = {} if teacher is None else {"teacher": {"name": teacher.name, "ap": dict(teacher.ap)}}
    return {
        "ending": result.ending,
        "folder": str(result.folder),
        "weights": None if result.weights is None else str(result.weights),
        "best": None if best is None else {"loss": dict(best.terms), "ap": dict(best.ap)},
        "steps": result.steps,
        "plots": [str(path) for path in plots],
        **scored,
    }


def print_divergence(error: DivergedError) -> None:
    """The terms of the step at which a loss became no number, above the line that says so."""
    values = dict(error.terms)
    if error.gradient_norm is not None:
        values["gradient norm"] = error.gradient_norm
    if not sys.stderr.isatty():
        for name, value in values.items():
            note_line(f"{name}\t{value:g}")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(f"step {error.step}", min_width=16)
    table.add_column("value", justify="right")
    for name, value in values.items():
        table.add_row(name, f"{value:g}")
    console_for("stderr").print(table)


def _unlabelled(data: RunData) -> int:
    """Photos that only a teacher can speak of."""
    return sum(not image.labelled for image in data.train)


def _words(kind: str) -> str:
    return kind.replace("_", " ")
