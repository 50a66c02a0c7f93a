"""A benchmark as tables that fit a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from ffcli.render import console_for

if TYPE_CHECKING:
    from ffcore.benchmark import BenchmarkResult, Measurement, Stages


def print_benchmark(result: BenchmarkResult) -> None:
    """The networks beside each other, the detectors part by part, and what must be known to read them."""
    console = console_for("stdout")
    console.print(_networks(result))
    detectors = [(each, each.stages) for each in result.measurements if each.stages is not None]
    if detectors:
        console.print()
        console.print(_parts(detectors))
    console.print()
    for line in _remarks(result):
        console.print(Text(line, style="dim"), soft_wrap=False)


def _table(title: str) -> Table:
    table = Table(
        box=None,
        pad_edge=False,
        collapse_padding=True,
        header_style="bold",
        title=title,
        title_justify="left",
    )
    table.add_column("", overflow="fold", min_width=12)
    return table


def _networks(result: BenchmarkResult) -> Table:
    table = _table("network alone")
    for name in ("input", "median ms", "p90 ms", "ratio", "images/s", "MB"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in result.measurements:
        batch = "" if each.batch == 1 else f"{each.batch}×"
        table.add_row(
            Text(each.name),  # as text: a name in brackets would be taken for a colour
            f"{batch}{each.size[0]}×{each.size[1]}",
            f"{each.network.median_ms:.2f}",
            f"{each.network.p90_ms:.2f}",
            f"{result.ratio(each):.2f}",
            f"{each.network_images_per_second:.1f}",
            "n/a" if each.memory is None else f"{each.memory.growth / 1e6:.1f}",
        )
    return table


def _parts(detectors: Sequence[tuple[Measurement, Stages]]) -> Table:
    table = _table("from the file to the faces, median ms")
    above = ("", "pre-", "", "post-", "on", "end to", "")
    names = ("read", "process", "network", "process", "top", "end", "images/s")
    for first, second in zip(above, names, strict=True):
        table.add_column(f"{first}\n{second}", justify="right", no_wrap=True)
    for each, stages in detectors:
        table.add_row(
            Text(each.name),
            f"{stages.read.median_ms:.2f}",
            f"{stages.preprocess.median_ms:.2f}",
            f"{each.network.median_ms:.2f}",
            f"{stages.postprocess.median_ms:.2f}",
            f"{100 * (each.on_top or 0.0):.0f} %",
            f"{stages.end_to_end.median_ms:.2f}",
            f"{each.images_per_second or 0.0:.1f}",
        )
    return table


def _remarks(result: BenchmarkResult) -> list[str]:
    machine, first = result.machine, result.measurements[0]
    gpu = f", {machine.gpu}" if machine.gpu else ""
    load = "" if machine.load is None else f", load {machine.load:.2f} before"
    threads = "1 thread" if result.threads == 1 else f"{result.threads} threads"
    height, width = result.photo_size
    lines = [
        f"{machine.cpu}{gpu}, {machine.cores} cores, {threads}{load}; {machine.system}; "
        + ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    ]
    runs: dict[str, list[Measurement]] = {}
    for each in result.measurements:
        runs.setdefault(f"{each.backend} on {each.device}", []).append(each)
    for run, members in runs.items():
        taken = [each.memory.engine for each in members if each.memory is not None]
        loading = f" (loading it: {min(taken) / 1e6:.0f} MB)" if taken else ""
        lines.append(f"{run}{loading}: {', '.join(each.name for each in members)}")
    known = any(each.memory is not None for each in result.measurements)
    lines.append(
        f"{result.rounds} rounds in turn after {result.warmup} that do not count; ratio: median per photo "
        f"to that of {first.name}" + ("; MB: memory by which a process of its own grew" if known else "")
    )
    found = [f"{each.stages.faces} by {each.name}" for each in result.measurements if each.stages is not None]
    photo = f"photo: {result.photo}, {width} wide, {height} high"
    lines.append(f"{photo}; faces found: {', '.join(found)}" if found else photo)
    return lines
