"""The whole job on a Ray cluster of two nodes, both on this machine, that these tests start and stop.

They start only where ``FEATHERFACE_CLUSTER_PHOTOS`` says how many photos go through: 150 take minutes, as
in ``.ci/run``; with 5,000 or more it is also measured whether memory stays flat.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ffcore import FaceDetector, detect_sources
from ffcore.errors import ConfigError, InputError, ModelError
from ffcore.images import find_sources
from ffcore.jobs.cluster import Placement, stream
from ffcore.jobs.columns import column
from ffcore.jobs.convert import table_rows
from ffcore.jobs.model_file import ModelFile
from ffcore.jobs.run import detect_on_cluster
from ffcore.jobs.stages import DetectFaces
from ffcore.jobs.summary import JobSummary
from tests.jobs.cluster_settings import RAY_SETTINGS, store_settings
from tests.jobs.in_process import plan_of, results
from tests.jobs.sources import one_jpeg, read_tar, tar_shards

ray = pytest.importorskip("ray", reason='needs pip install "featherface[ray]"')

PHOTOS = int(os.environ.get("FEATHERFACE_CLUSTER_PHOTOS", "0"))

pytestmark = pytest.mark.skipif(
    not PHOTOS, reason="starts clusters, for minutes; set FEATHERFACE_CLUSTER_PHOTOS to 150 or more"
)
LARGE = PHOTOS >= 5000
PER_SHARD = 250 if LARGE else 25
SHARDS = PHOTOS // PER_SHARD
COMPLETE_BEFORE = SHARDS // 4 if LARGE else 0
"""Shards of a job that are complete before something is killed; a small job would be over by then."""
NODE: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 150 * 2**20}
SETTINGS: dict[str, Any] = {"anonymize": "solid", "workers": 2, "size": 320}
"""Every photo fills an input of 320 × 320, so that a job takes long enough to be disturbed."""


class Nodes:
    """The cluster, and what is done to it."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self.cluster = Cluster(
            initialize_head=True, head_node_args={**NODE, "include_dashboard": False, "dashboard_port": None}
        )
        self.second = self.cluster.add_node(**NODE)
        self.cluster.wait_for_nodes()
        ray.init(address=self.cluster.address, log_to_driver=False)

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def lose_second(self) -> None:
        self.cluster.remove_node(self.second, allow_graceful=False)

    def add_second(self) -> None:
        self.second = self.cluster.add_node(**NODE)
        self.cluster.wait_for_nodes()

    def processes(self, nodes: Sequence[Any] | None = None) -> dict[int, str]:
        """Every process of some nodes, or of all, by its number."""
        children: dict[int, list[int]] = {}
        names: dict[int, str] = {}
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                try:
                    status = (folder / "stat").read_text().rpartition(")")[2].split()
                    names[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")
                except OSError:
                    continue
                children.setdefault(int(status[1]), []).append(int(folder.name))
        found: dict[int, str] = {}
        waiting = [
            process.process.pid
            for node in nodes or [self.cluster.head_node, *self.cluster.worker_nodes]
            for group in node.all_processes.values()
            for process in group
        ]
        while waiting:
            pid = waiting.pop()
            if pid in names and pid not in found:
                found[pid] = names[pid]
                waiting += children.get(pid, [])
        return found

    def actor_at_work(self) -> int | None:
        """The process of an actor on the second node that looks at photos right now."""
        mark = "ray::MapWorker(MapBatches(_Detecting)).submit"
        found = self.processes([self.second])
        return next((pid for pid, name in found.items() if name.startswith(mark)), None)

    def close(self) -> None:
        ray.shutdown()
        self.cluster.shutdown()


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    """The address of an S3 server on this machine; nodes that start later know it."""
    moto = pytest.importorskip("moto.server", reason="needs moto[server] and s3fs")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    settings = store_settings(f"http://{host}:{port}")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        yield settings["AWS_ENDPOINT_URL"]
        server.stop()


@pytest.fixture(scope="module")
def nodes(store: str) -> Iterator[Nodes]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in RAY_SETTINGS.items():
            patch.setenv(name, value)
        # workers must find this checkout and the tests
        patch.setenv("PYTHONPATH", os.pathsep.join(["", str(Path(__file__).parents[2])]).lstrip(os.pathsep))
        started = Nodes()
        yield started
        started.close()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tar_shards(tmp_path_factory.mktemp("source"), shards=SHARDS, photos=PER_SHARD)


@pytest.fixture(scope="module")
def undisturbed(
    nodes: Nodes, source: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, JobSummary, list[int]]:
    """An undisturbed job: its results, its summary, and the memory of all processes each second."""
    out = tmp_path_factory.mktemp("job") / "out"
    memory: list[int] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(1):
            memory.append(sum(own_memory(pid) for pid in [os.getpid(), *nodes.processes()]))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        summary = detect_on_cluster([source], out, **SETTINGS)
    finally:
        ended.set()
        watcher.join()
    return out, summary, memory


def own_memory(pid: int) -> int:
    """Bytes of a process, those it shares with others divided among them."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def complete(out: Path) -> int:
    """How many shards of a job are complete."""
    return len(list(out.glob("part-*")))


@contextmanager
def disturbed(nodes: Nodes, out: Path, action: Callable[[int], None]) -> Iterator[list[int]]:
    """Acts in the middle of the job that writes to `out`, while an actor of the second node looks at photos.

    Yields:
        A list that has the number of this actor's process as soon as it happened.
    """
    acted: list[int] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.005):
            if complete(out) < COMPLETE_BEFORE:
                continue
            if (actor := nodes.actor_at_work()) is not None:
                action(actor)
                acted.append(actor)
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield acted
    finally:
        ended.set()
        watcher.join()


def test_every_photo_is_a_row_and_the_summary_counts_them(undisturbed: tuple[Path, JobSummary, Any]) -> None:
    out, summary, _ = undisturbed
    rows = list(table_rows(out))
    broken = PHOTOS // 25
    assert len(rows) == summary.totals.photos == summary.new == PHOTOS
    assert dict(summary.totals.errors) == {"is truncated": broken}
    assert summary.totals.faces == sum(len(row.faces) for row in rows) > PHOTOS // 2
    assert sum(worker.photos for worker in summary.workers.values()) == PHOTOS
    assert len(summary.workers) == 2
    assert (out / "_SUCCESS").exists()


def test_the_rows_are_those_of_detect(
    undisturbed: tuple[Path, JobSummary, Any], source: Path, tmp_path: Path
) -> None:
    detector = FaceDetector.load("v2", threads=1, size=320)
    rows = table_rows(undisturbed[0])
    compared = 0
    for shard in sorted(source.glob("*.tar")):
        photos = tmp_path / shard.stem
        with tarfile.open(shard) as archive:
            archive.extractall(photos, filter="data")
        for each in detect_sources(detector, find_sources([photos])[0]):
            row = next(row for row in rows if not row.error)
            assert row.uri == f"{shard}#{each.source.relative}"
            assert row.size[:2] == (each.result.width, each.result.height)
            np.testing.assert_allclose(row.faces.boxes, each.result.faces.boxes, atol=1e-3)
            np.testing.assert_allclose(row.faces.scores, each.result.faces.scores, atol=1e-5)
            np.testing.assert_allclose(row.faces.landmarks, each.result.faces.landmarks, atol=1e-3)
            compared += 1
        shutil.rmtree(photos)
    assert compared == PHOTOS - PHOTOS // 25  # the others are cut off
    assert all(row.error for row in rows)


def test_the_changed_photos_hold_no_face_where_one_was(undisturbed: tuple[Path, JobSummary, Any]) -> None:
    photos = read_tar(undisturbed[0] / "_photos" / "part-000000.tar")
    rows = [row for row in table_rows(undisturbed[0]) if "shard-0000.tar#" in row.uri]
    assert list(photos) == [row.uri.rpartition("#")[2] for row in rows if not row.error]
    detect = DetectFaces("v2", size=320)
    left = detect({"image": column(photos.values())})
    assert sum(map(len, left["scores"])) < sum(len(row.faces) for row in rows) / 4


def test_an_actor_that_is_killed_at_work_costs_nothing(
    undisturbed: tuple[Path, JobSummary, Any], nodes: Nodes, source: Path, tmp_path: Path
) -> None:
    with disturbed(nodes, tmp_path / "out", lambda actor: os.kill(actor, signal.SIGKILL)) as acted:
        summary = detect_on_cluster([source], tmp_path / "out", **SETTINGS)
    assert acted
    assert not Path(f"/proc/{acted[0]}").exists()
    assert summary.totals.photos == summary.new == PHOTOS
    assert results(tmp_path / "out") == results(undisturbed[0])


def test_a_node_that_leaves_while_it_works_costs_nothing(
    undisturbed: tuple[Path, JobSummary, Any], nodes: Nodes, source: Path, tmp_path: Path
) -> None:
    with disturbed(nodes, tmp_path / "out", lambda _: nodes.lose_second()) as acted:
        summary = detect_on_cluster([source], tmp_path / "out", **SETTINGS)
    assert acted
    nodes.add_second()
    assert summary.totals.photos == summary.new == PHOTOS
    assert results(tmp_path / "out") == results(undisturbed[0])


def test_a_driver_that_is_killed_goes_on_where_it_is_started_again(
    undisturbed: tuple[Path, JobSummary, Any], nodes: Nodes, source: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    arguments = [sys.executable, "-m", "ffcli", "detect", source, "--engine", "ray", "--out", out]
    arguments += ["--address", nodes.address, "--workers", "2", "--size", "320", "--anonymize", "solid"]
    command = [str(argument) for argument in arguments]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as driver:
        while complete(out) < max(COMPLETE_BEFORE, 1) and driver.poll() is None:
            time.sleep(0.02)
        driver.kill()
        _, messages = driver.communicate()
    before = {path.name: path.stat().st_mtime_ns for path in out.glob("part-*")}
    assert 0 < len(before) < SHARDS, messages
    assert not (out / "_SUCCESS").exists()
    again = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert "WARNING" not in again.stderr  # Ray's voices stay in its files
    assert f"{SHARDS} shards, {len(before)} of them complete" in again.stderr
    assert results(out) == results(undisturbed[0])
    assert {name: (out / name).stat().st_mtime_ns for name in before} == before  # nothing was done twice


def test_the_same_job_reads_from_and_writes_to_s3(
    undisturbed: tuple[Path, JobSummary, Any], nodes: Nodes, source: Path
) -> None:
    import s3fs

    system = s3fs.S3FileSystem()
    system.mkdir("photos")
    some = sorted(source.glob("*.tar"))[:3]
    for path in some:
        system.put_file(str(path), f"photos/in/{path.name}")
    summary = detect_on_cluster(["s3://photos/in"], "s3://photos/out", **SETTINGS)
    assert summary.totals.photos == len(some) * PER_SHARD
    rows = list(table_rows("s3://photos/out"))
    assert rows[0].uri == "s3://photos/in/shard-0000.tar#000000.jpg"
    expected = list(table_rows(undisturbed[0]))[: len(rows)]
    assert [replace(row, uri="") for row in rows] == [replace(row, uri="") for row in expected]
    here = (undisturbed[0] / "_photos" / "part-000001.tar").read_bytes()
    assert system.cat_file("photos/out/_photos/part-000001.tar") == here
    assert detect_on_cluster(["s3://photos/in"], "s3://photos/out", **SETTINGS).new == 0


def test_too_many_errors_end_the_job_and_a_higher_limit_goes_on(
    nodes: Nodes, undisturbed: tuple[Path, JobSummary, Any], tmp_path: Path
) -> None:
    source = tar_shards(tmp_path / "in", shards=3, photos=4, broken=2)
    with pytest.raises(InputError, match=r"photos are broken, more than max-errors 1 .*is truncated"):
        detect_on_cluster([source], tmp_path / "out", max_errors=1, workers=2)
    assert not (tmp_path / "out" / "_SUCCESS").exists()
    summary = detect_on_cluster([source], tmp_path / "out", max_errors=6, workers=2)
    assert (summary.totals.photos, summary.totals.failed) == (12, 6)


def test_the_stage_fits_a_pipeline_of_ones_own(nodes: Nodes) -> None:
    photos = ray.data.from_items([{"key": i, "bytes": one_jpeg()} for i in range(4)])
    faces = photos.map_batches(
        DetectFaces,
        fn_constructor_kwargs={"image": "bytes"},
        batch_size=2,
        compute=ray.data.ActorPoolStrategy(size=1),
    )
    rows = sorted(faces.take_all(), key=lambda row: row["key"])
    assert [len(row["scores"]) for row in rows] == [1, 1, 1, 1]
    assert "bytes" not in rows[0]


def test_weights_that_do_not_open_on_a_worker_are_one_line(nodes: Nodes, source: Path) -> None:
    broken = replace(plan_of([source]), model=ModelFile("v2", ".onnx", b"no weights"))
    with pytest.raises(ModelError, match=r"v2\.onnx") as caught:
        list(stream(broken, [0], placement=Placement(workers=1)))
    assert "\n" not in str(caught.value)


def test_more_gpus_than_the_cluster_has_are_refused(nodes: Nodes, tmp_path: Path, source: Path) -> None:
    with pytest.raises(ConfigError, match="the cluster has 0 GPUs"):
        detect_on_cluster([source], tmp_path / "out", gpus_per_actor=0.25)
    assert Placement(gpus_per_actor=0.25).actors_on({"CPU": 16.0, "GPU": 2.0}) == 8
    assert Placement().actors_on({"CPU": 16.0}) == 16


@pytest.mark.skipif(not LARGE, reason="set FEATHERFACE_CLUSTER_PHOTOS to 5000 or more")
def test_memory_stays_flat(undisturbed: tuple[Path, JobSummary, list[int]]) -> None:
    memory = undisturbed[2]
    third = len(memory) // 3
    early, late = max(memory[third // 2 : 2 * third]), max(memory[2 * third :])
    assert late < early * 1.1 + 50e6, [round(each / 1e6) for each in memory]


def test_a_cluster_that_is_not_there_is_one_line(tmp_path: Path, source: Path) -> None:
    command = "import sys; from ffcli.app import run; sys.exit(run(sys.argv[1:]))"
    arguments = [
        "detect",
        str(source),
        "--engine",
        "ray",
        "--address",
        "127.0.0.1:1",
        "--out",
        str(tmp_path / "o"),
    ]
    ended = subprocess.run(
        [sys.executable, "-c", command, *arguments], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert "cannot join a Ray cluster at 127.0.0.1:1" in ended.stderr.splitlines()[-1]
