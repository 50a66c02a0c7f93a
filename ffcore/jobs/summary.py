"""What a job reports while it runs and when it ends."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from ffcore.events import Event
from ffcore.jobs.table import Totals


@dataclass(frozen=True)
class JobStarted(Event):
    """A job begins or goes on.

    Args:
        shards: How many it has.
        done: How many of them are complete already.
        photos: How many it has, or None when only reading them will tell.
        workers: Actors that detect.
        dashboard: Address of Ray's dashboard, or "" when it does not run.
    """

    shards: int
    done: int
    photos: int | None
    workers: int
    dashboard: str


@dataclass(frozen=True)
class JobAdvanced(Event):
    """Some more photos are done.

    Args:
        photos: Done in this run and, as rows of complete shards, in earlier ones.
        new: Of these, done in this run.
        faces: Found in all of them.
        errors: Photos with an error among them.
        shards: Complete.
        seconds: Since this run began, with the start of its actors.
    """

    photos: int
    new: int
    faces: int
    errors: int
    shards: int
    seconds: float


@dataclass
class Worker:
    """What one actor did in this run.

    Args:
        photos: How many.
        seconds: For them, without waiting for them.
    """

    photos: int = 0
    seconds: float = 0.0


@dataclass
class JobSummary:
    """A finished job.

    Args:
        totals: Photos, faces and errors of the whole job.
        shards: How many there are.
        new: Photos of this run.
        seconds: Of this run up to its last photo, with the start of its actors.
        workers: Actors by host and process, with what each did in this run.
        retries: How often photos had to be sent again because machines were lost.
    """

    totals: Totals
    shards: int
    new: int = 0
    seconds: float = 0.0
    workers: dict[str, Worker] = field(default_factory=dict)
    retries: int = 0

    @property
    def photos_per_second(self) -> float:
        """Of this run; 0 when it had nothing to do."""
        return self.new / self.seconds if self.seconds > 0 else 0.0

    def record(self) -> dict[str, Any]:
        """The same as values that JSON has."""
        return {
            "photos": self.totals.photos,
            "faces": self.totals.faces,
            "searched_smaller": self.totals.shrunk,
            "errors": dict(Counter(self.totals.errors).most_common()),
            "shards": self.shards,
            "this_run": {
                "photos": self.new,
                "seconds": round(self.seconds, 3),
                "photos_per_second": round(self.photos_per_second, 2),
                "retries": self.retries,
                "actors": {
                    name: {"photos": worker.photos, "busy_seconds": round(worker.seconds, 3)}
                    for name, worker in sorted(self.workers.items())
                },
            },
        }
