"""Numbers, durations and curves of a training as short words, for the picture and for plain lines."""

from __future__ import annotations

from itertools import pairwise

from ffcli.training.state import TrainingState
from ffcore.training.events import RunStarted

_BLOCKS, _PLAIN_BLOCKS = "▁▂▃▄▅▆▇█", "_.-=+*#"


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


def number(value: float | None) -> str:
    """Four digits that count, or a dash for none."""
    if value is None:
        return "–"
    return f"{value:.4f}" if 1e-3 <= abs(value) < 100 or value == 0 else f"{value:.4g}"


def unhealthy(state: TrainingState) -> str:
    """How often steps of this epoch were not sound."""
    if not state.unhealthy_steps:
        return ""
    kinds = ", ".join(f"{count} × {kind}" for kind, count in state.findings[0].items())
    return f"{len(state.unhealthy_steps):,} of {state.batch + 1:,} steps unhealthy ({kinds})"
