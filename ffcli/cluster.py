"""``featherface detect --engine ray``: one line that lives while the job runs, and a summary at its end."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, Progress, TextColumn

from ffcli.cluster_options import RayOptions
from ffcli.messages import error_line, note_if_shipped, note_line
from ffcli.render import console_for
from ffcli.requirements import require
from ffcore.errors import ConfigError
from ffcore.events import Event, Failed, Noticed

if TYPE_CHECKING:
    from ffcore.detection.detector import DetectorSettings
    from ffcore.images.anonymize import Method
    from ffcore.jobs.summary import JobAdvanced, JobStarted, JobSummary

_SECONDS_BETWEEN_LINES = 10.0


def detect_with_ray(
    names: Sequence[str],
    *,
    out: str | None,
    model: str,
    anonymize: Method | None,
    options: RayOptions,
    settings: DetectorSettings,
    as_json: bool,
    quiet: bool,
) -> None:
    """Runs the job and shows how it goes; the summary goes to stdout, everything else to stderr.

    Args:
        names: The sources.
        out: Folder or URI for the table.
        model: A file of weights, or a name.
        anonymize: How faces are hidden in changed copies, or None.
        options: Of the engine.
        settings: Of the detector.
        as_json: Whether the summary is JSON.
        quiet: Whether only errors are wanted.
    """
    if out is None:
        raise ConfigError("--engine ray writes a table: give its folder or URI as --out")
    for package in ("ray", "pyarrow", "fsspec"):
        require(package, "--engine ray")
    if not quiet:
        note_if_shipped(model)
    _settle_ray()
    from ffcore.jobs.run import detect_on_cluster

    with JobLine(show=not quiet) as line:
        summary = detect_on_cluster(
            names,
            out,
            model=model,
            anonymize=anonymize,
            address=options.address,
            workers=options.workers,
            gpus_per_actor=options.gpus_per_actor,
            max_errors=options.max_errors,
            shard_size=options.shard_size,
            image_column=options.image_column,
            on_event=line.on_event,
            **settings,
        )
    if as_json:
        sys.stdout.write(json.dumps(summary.record(), ensure_ascii=False, indent=1) + "\n")
    elif not quiet:
        sys.stdout.write("\n".join(summary_lines(summary, out)) + "\n")


def _settle_ray() -> None:
    """A Ray that is started here reports to nobody; what it tells its developers stays in its own files."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    # Ray Data keeps the share of a driver that was killed for so long, and its successor wants it.
    os.environ.setdefault("RAY_DATA_AUTOSCALING_REQUEST_EXPIRE_TIME_S", "30")
    import ray.data

    for name in ("ray", ray.data.__name__):
        for handler in logging.getLogger(name).handlers:
            if isinstance(handler, logging.StreamHandler):
                handler.setLevel(logging.CRITICAL)


class JobLine:
    """One line on stderr that lives, or in a pipe a plain line now and then.

    Args:
        show: Whether anything but broken photos is wanted.
    """

    def __init__(self, *, show: bool) -> None:
        self._show = show
        self._console = console_for("stderr")
        self._progress = Progress(
            BarColumn(bar_width=24),
            TextColumn("{task.description}"),
            console=self._console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            disable=not (show and self._console.is_terminal),
        )
        self._task = self._progress.add_task("starting", total=None)
        self._started: JobStarted | None = None
        self._last = 0.0

    def __enter__(self) -> JobLine:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def on_event(self, event: Event) -> None:
        """Draws one event of the library."""
        from ffcore.jobs.summary import JobAdvanced, JobStarted

        match event:
            case JobStarted():
                self._started = event
                self._say(start_line(event))
            case JobAdvanced() if self._started is not None:
                self._advance(event, self._started)
            case Failed():
                self._write(f"featherface: {event.name}: {event.reason}", error=True)
            case Noticed():
                self._say(f"{event.name}: {event.message}")

    def _advance(self, event: JobAdvanced, started: JobStarted) -> None:
        words = progress_words(event, started)
        if self._progress.disable:
            now = time.monotonic()
            finished = event.shards == started.shards
            if finished or now - self._last >= _SECONDS_BETWEEN_LINES:
                self._last = now
                self._say(words)
            return
        done, total = (event.photos, started.photos) if started.photos else (event.shards, started.shards)
        self._progress.update(self._task, description=words, completed=done, total=total)

    def _say(self, words: str) -> None:
        if self._show:
            self._write(words)

    def _write(self, words: str, *, error: bool = False) -> None:
        if self._console.is_terminal:
            self._console.print(words, markup=False)
        elif error:
            error_line(words.removeprefix("featherface: "))
        else:
            note_line(words)


def start_line(event: JobStarted) -> str:
    """What is about to happen, and where Ray shows more of it."""
    photos = "" if event.photos is None else f" with {event.photos:,} photos"
    done = f", {event.done:,} of them complete" if event.done else ""
    board = f"; Ray's dashboard: {event.dashboard}" if event.dashboard else ""
    return f"{event.shards:,} shards{photos}{done}; {event.workers} actors{board}"


def progress_words(event: JobAdvanced, started: JobStarted) -> str:
    """Photos, rate, time left, errors.

    The time left is reckoned from photos where somebody knows how many there are, else from shards.
    """
    rate = event.new / event.seconds if event.seconds > 0 else 0.0
    of = "" if started.photos is None else f" of {started.photos:,}"
    words = f"{event.photos:,}{of} photos, {rate:.1f}/s"
    left = None
    if started.photos is not None and rate > 0:
        left = (started.photos - event.photos) / rate
    elif event.shards > started.done:
        left = (started.shards - event.shards) * event.seconds / (event.shards - started.done)
    if left is not None:
        words += f", {_clock(left)} left"
    errors = "1 error" if event.errors == 1 else f"{event.errors:,} errors"
    return f"{words}, {errors}, {event.shards:,} of {started.shards:,} shards"


def summary_lines(summary: JobSummary, out: str) -> list[str]:
    """A finished job in plain lines, tabs between name and value."""
    record: dict[str, Any] = summary.record()
    lines = [f"{name}\t{record[name]:,}" for name in ("photos", "faces", "searched_smaller")]
    lines.append(f"errors\t{summary.totals.failed:,}")
    lines += [f"  {kind}\t{count:,}" for kind, count in record["errors"].items()]
    if summary.new:
        lines.append(f"photos a second\t{summary.photos_per_second:.1f}")
        for name, worker in sorted(summary.workers.items()):
            own = worker.photos / worker.seconds if worker.seconds > 0 else 0.0
            lines.append(f"  {name}\t{worker.photos:,} photos, {own:.1f} a second while busy")
    lines.append(f"table\t{Path(out) if '://' not in out else out}")
    return lines


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
