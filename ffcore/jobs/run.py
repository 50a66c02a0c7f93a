"""Detection over more photos than one machine wants to see."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ffcore.errors import ConfigError, InputError
from ffcore.events import Failed, Noticed, OnEvent, ignore
from ffcore.images.anonymize import METHODS, Method
from ffcore.jobs.cluster import ClusterError, Placement, cluster_resources, joined, stream
from ffcore.jobs.collect import Collector, FinishedShard, commit
from ffcore.jobs.columns import Batch
from ffcore.jobs.model_file import ModelFile
from ffcore.jobs.plan import SUCCESS_NAME, SUMMARY_NAME, Plan, part_name, start_or_go_on
from ffcore.jobs.shards import DEFAULT_SHARD_SIZE, find_shards
from ffcore.jobs.storage import Folder, absolute
from ffcore.jobs.summary import JobAdvanced, JobStarted, JobSummary, Worker
from ffcore.jobs.table import Row, Totals, totals_in_footer, totals_of

if TYPE_CHECKING:
    from typing import Unpack

    from ffcore.detection.detector import DetectorSettings

_WRITERS = 4
"""Shards that are written at once, while more rows come in."""

_SHARDS_AT_ONCE = 10_000
"""Shards that one data set gets: Ray's driver needs some kilobytes for each."""

_FRUITLESS_PASSES = 3
"""After so many passes in which no shard was finished the cluster is taken for broken."""

_FAILURES_NAMED = 100
"""Broken photos that are named one by one; all of them stand in the table."""


def detect_on_cluster(
    sources: Sequence[str | Path],
    out: str | Path,
    *,
    model: str | Path = "v2",
    anonymize: Method | None = None,
    address: str | None = None,
    workers: int | None = None,
    gpus_per_actor: float = 0.0,
    max_errors: int | None = None,
    shard_size: int = DEFAULT_SHARD_SIZE,
    image_column: str | None = None,
    on_event: OnEvent = ignore,
    **settings: Unpack[DetectorSettings],
) -> JobSummary:
    """Find the faces of all photos of the sources with Ray, and write them as Parquet.

    Every shard of the sources becomes one file of the table, written whole or not at all. A job that was
    ended, by whatever, goes on where it is called again with the same arguments; the result is that of an
    undisturbed run. A photo that cannot be read is a row with its error.

    Args:
        sources: Folders, patterns, photos, tar files, Parquet files, text files of addresses; here (every
            machine of the cluster must then see them at the same path) or in a store that fsspec knows.
        out: Folder for the results, a path or a URI; not shared with other jobs.
        model: A file of weights on this machine, or a name; it travels to the actors by itself.
        anonymize: How faces are hidden in copies of the photos, written as tar files; None for no copies.
        address: Of the cluster, "auto", or None to start Ray on this machine.
        workers: See `Placement`.
        gpus_per_actor: See `Placement`.
        max_errors: More broken photos than this end the job.
        shard_size: See `find_shards`.
        image_column: See `find_shards`.
        on_event: Told about progress (`JobStarted`, `JobAdvanced`), broken photos and lost machines.
        **settings: Fields of `ffcore.DetectorOptions`.

    Returns:
        What was found, also written as ``_summary.json`` beside the table.

    Raises:
        InputError: A source leads nowhere, `out` is not for this job, or there are too many broken photos.
        ModelError: The weights cannot be used, or the network failed.
        MissingDependencyError: Ray, or the package for a kind of store, is not installed.
        ConfigError: A setting is impossible.
        ClusterError: The cluster cannot be joined, or does not get anything done.
    """
    placement = Placement(workers=workers, gpus_per_actor=gpus_per_actor)
    if anonymize is not None and anonymize not in METHODS:
        raise ConfigError(f"anonymize = {anonymize!r}: choose one of {', '.join(METHODS)}")
    weights = ModelFile.read(model)
    detector = weights.detector(device="cpu", **settings)  # a slip should show before a cluster starts
    folder = Folder(out)
    wanted: dict[str, Any] = {
        "names": [absolute(name) for name in sources],
        "size": shard_size,
        "column": image_column,
    }
    plan = Plan(
        shards=find_shards(**wanted),
        model=weights,
        model_name=detector.backend.facts.network or Path(weights.name).stem,
        options=detector.options,
        anonymize=anonymize,
        sources=wanted,
    )
    done = start_or_go_on(plan, folder)
    run = _Run(plan, folder, max_errors=max_errors, on_event=on_event)
    run.count_complete(done)
    missing = sorted(set(range(len(plan.shards))).difference(done))
    if missing:
        with joined(address) as dashboard:
            actors = placement.actors_on(cluster_resources())
            on_event(JobStarted(len(plan.shards), len(done), plan.photos, actors, dashboard))
            run.until_done(missing, placement)
    return run.finish()


class _Run:
    """One run of a job: what is counted, and what is done about losses."""

    def __init__(self, plan: Plan, folder: Folder, *, max_errors: int | None, on_event: OnEvent) -> None:
        self._plan = plan
        self._folder = folder
        self._max_errors = max_errors
        self._on_event = on_event
        self._totals = Totals()
        self._complete = 0
        self._new = 0
        self._named = 0
        self._begun = self._last = 0.0
        self._workers: dict[str, Worker] = {}
        self._retries = 0

    def count_complete(self, done: Sequence[int]) -> None:
        """Takes the shards of earlier runs into the sums."""

        def totals(number: int) -> Totals:
            name = part_name(number)
            with self._folder.open(name) as file:
                return totals_in_footer(file, f"{self._folder.address}/{name}")

        with ThreadPoolExecutor(_WRITERS) as readers:
            for found in readers.map(totals, done):
                self._totals.add(found)
        self._complete = len(done)
        self._check_errors()

    def until_done(self, missing: Sequence[int], placement: Placement) -> None:
        """Runs the missing shards, and again those that were lost with a machine."""
        self._begun = time.perf_counter()
        left = list(missing)
        fruitless = 0
        while left:
            now = left[:_SHARDS_AT_ONCE]
            reason = "rows were lost on the way"
            finished: set[int] = set()
            try:
                # after a loss no more than there is room for, which grows again with the cluster
                fitted = placement.fitted_to(cluster_resources()) if self._retries else placement
                self._pass(now, fitted, finished)
            except ClusterError as error:
                reason = str(error)
            left = [number for number in left if number not in finished]
            lost = len(now) - len(finished)
            if not lost:
                continue
            fruitless = 0 if finished else fruitless + 1
            if fruitless == _FRUITLESS_PASSES:
                raise ClusterError(
                    f"the cluster finished nothing in {fruitless} passes, the last one ended with {reason}; "
                    "what is complete stays, start again when it is well"
                )
            self._retries += 1
            self._on_event(Noticed("the cluster", f"{lost} shards are started again: {reason}"))

    def _pass(self, numbers: Sequence[int], placement: Placement, finished: set[int]) -> None:
        collector = Collector()
        writing: deque[tuple[int, Future[Totals]]] = deque()

        def written(most: int) -> None:
            while len(writing) > most or (writing and writing[0][1].done()):
                number, future = writing.popleft()
                future.result()
                finished.add(number)
                self._complete += 1

        batches = stream(self._plan, numbers, placement=placement)
        with ThreadPoolExecutor(_WRITERS) as writers:
            try:
                for batch in batches:
                    rows, shards = collector.add(batch)
                    self._count(batch, rows)
                    for shard in shards:
                        writing.append((shard.number, writers.submit(self._commit, shard)))
                    written(_WRITERS)
                    self._report()
            finally:
                batches.close()
                written(0)
                lost = collector.close()
                self._take_back(lost)
        self._report()

    def _commit(self, shard: FinishedShard) -> Totals:
        return commit(shard, self._plan, self._folder)

    def _count(self, batch: Batch, rows: Sequence[Row]) -> None:
        new = totals_of(rows)
        self._totals.add(new)
        self._new += new.photos
        self._last = time.perf_counter()
        for name, seconds, end in zip(batch["worker"], batch["seconds"], batch["end"], strict=True):
            worker = self._workers.setdefault(str(name), Worker())
            worker.photos += not end
            worker.seconds += float(seconds)
        for row in rows:
            if row.error and self._named < _FAILURES_NAMED:
                self._named += 1
                self._on_event(Failed(row.uri, row.error))
        self._check_errors()

    def _take_back(self, lost: Totals) -> None:
        self._totals.photos -= lost.photos
        self._totals.faces -= lost.faces
        self._totals.shrunk -= lost.shrunk
        self._totals.errors -= lost.errors
        self._new -= lost.photos

    def _check_errors(self) -> None:
        if self._max_errors is not None and self._totals.failed > self._max_errors:
            kinds = ", ".join(f"{count} {kind}" for kind, count in self._totals.errors.most_common(3))
            raise InputError(
                f"{self._totals.failed} of {self._totals.photos} photos are broken, more than max-errors "
                f"{self._max_errors} allows: {kinds}; look at the source, or allow more and start again"
            )

    def _report(self) -> None:
        self._on_event(
            JobAdvanced(
                self._totals.photos,
                self._new,
                self._totals.faces,
                self._totals.failed,
                self._complete,
                self._last - self._begun,
            )
        )

    def finish(self) -> JobSummary:
        """Writes the summary and the mark of success."""
        summary = JobSummary(
            self._totals,
            len(self._plan.shards),
            self._new,
            self._last - self._begun,
            self._workers,
            self._retries,
        )
        if self._new or SUCCESS_NAME not in self._folder.names():  # else it stands there already
            self._folder.write(SUMMARY_NAME, (json.dumps(summary.record(), indent=1) + "\n").encode())
            self._folder.write(SUCCESS_NAME, b"")
        return summary
