"""What a job does about machines that leave for good, without a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ffcore.events import ignore
from ffcore.jobs import cluster, run
from ffcore.jobs.cluster import ClusterError, Placement
from ffcore.jobs.storage import Folder
from tests.jobs.in_process import plan_of
from tests.jobs.sources import tar_shards


class Clock:
    """Time as a test wants it."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(cluster, "time", made)
    return made


@pytest.fixture
def machines(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    there = {"head", "second"}
    monkeypatch.setattr(cluster, "_machines", lambda: set(there))
    return there


def test_a_data_set_that_waits_for_a_machine_that_left_is_ended(clock: Clock, machines: set[str]) -> None:
    watch = cluster._Watch()
    machines.remove("second")
    clock.now += 59
    watch.on_execution_step(None)  # Ray may still make up for it
    watch.something_came()
    clock.now += 59
    watch.on_execution_step(None)  # it does
    clock.now += 2
    with pytest.raises(ClusterError, match="1 of 2 machines have left"):
        watch.on_execution_step(None)


def test_a_data_set_that_is_slow_or_whose_cluster_grew_is_left_alone(
    clock: Clock, machines: set[str]
) -> None:
    watch = cluster._Watch()
    machines.add("third")
    for _ in range(100):
        clock.now += 60
        watch.on_execution_step(None)


def test_what_is_started_again_takes_no_more_than_there_is_room_for() -> None:
    assert Placement(workers=2).fitted_to({"CPU": 1.0}).workers == 1
    assert Placement(workers=2).fitted_to({"CPU": 16.0}).workers == 2
    assert Placement().fitted_to({"CPU": 3.0}).workers == 3
    assert Placement(workers=9, gpus_per_actor=0.25).fitted_to({"CPU": 1.0, "GPU": 1.0}).workers == 4


def test_actors_that_had_no_room_come_back_with_their_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int | None] = []

    def lost(*_: object, placement: Placement) -> Iterator[Any]:
        taken.append(placement.workers)
        raise ClusterError("1 of 2 machines have left")
        yield

    cores = iter((1.0, 2.0))
    monkeypatch.setattr(run, "stream", lost)
    monkeypatch.setattr(run, "cluster_resources", lambda: {"CPU": next(cores)})
    plan = plan_of([tar_shards(tmp_path / "in", shards=1, photos=1)])
    job = run._Run(plan, Folder(tmp_path / "out"), max_errors=None, on_event=ignore)
    with pytest.raises(ClusterError, match="finished nothing in 3 passes"):
        job.until_done([0], Placement(workers=2))
    assert taken == [2, 1, 2]
