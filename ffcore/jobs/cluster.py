"""Ray: joining a cluster, and the stages of a job as one streaming data set.

Ray Data runs the photos through: it reads shards in tasks, hands blocks of decoded photos to a pool of
actors, holds readers back when actors are behind, restarts what dies. One thing it cannot do: write what came
from one input file as one output file, whole or not at all. Its sinks write a file a block, and blocks are
what fits into memory; grouping rows first is a shuffle, which ends only when the last photo is done and would
lose everything with the driver. So the rows leave the data set as a stream, and the driver
(`ffcore.jobs.run`) puts those of a shard together: some hundred bytes a photo.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from ffcore.errors import ConfigError, FeatherFaceError, MissingDependencyError, ModelError
from ffcore.jobs.columns import Batch, column, rows
from ffcore.jobs.stages import DetectFaces, HideFaces, decode_shards

if TYPE_CHECKING:
    from ffcore.jobs.plan import Plan

_ACTOR_CORES = 0.7
"""Part of a core that an actor on a CPU is counted for."""

_HELPER_CORES = 0.1
"""Part of a core that each task which decodes or encodes photos beside it is counted for.

Together they fill a core, but less than all of it is promised: Ray Data sets aside a sixth of the cluster for
each of three stages before it starts any task, and a stage that finds nothing left waits until another ends.
"""

_KNOCK_SECONDS = 10.0

_LOOK_SECONDS = 5.0
"""How often is looked for machines that have left, while nothing comes."""

_PATIENCE_SECONDS = 60.0
"""Ray has so long to make up for a machine that left before its shards are started again."""

_BLOCK_BYTES = 16 * 2**20
"""Decoded photos that travel together; half a dozen of one megapixel."""


class ClusterError(FeatherFaceError):
    """The cluster cannot be joined, or loses its workers faster than they finish anything."""


@dataclass(frozen=True, kw_only=True)
class Placement:
    """What a job takes of a cluster.

    Args:
        workers: Actors that detect; None takes one for each core, or as many as the GPUs hold.
        gpus_per_actor: Part of a GPU for each actor; 0 detects on CPUs, one thread an actor.

    Raises:
        ConfigError: A number is impossible.
    """

    workers: int | None = None
    gpus_per_actor: float = 0.0

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise ConfigError(f"workers = {self.workers}: at least 1 is needed")
        if not 0 <= self.gpus_per_actor <= 64:
            raise ConfigError(f"gpus_per_actor = {self.gpus_per_actor}: 0 or a part of a GPU is needed")

    @property
    def device(self) -> str:
        """What the network runs on."""
        return "cuda" if self.gpus_per_actor else "cpu"

    def actors_on(self, resources: Mapping[str, float]) -> int:
        """How many actors a cluster with these resources gets.

        Raises:
            ConfigError: GPUs are wanted, and the cluster has none.
        """
        gpus = resources.get("GPU", 0.0)
        if self.gpus_per_actor > gpus:
            raise ConfigError(
                f"gpus_per_actor = {self.gpus_per_actor:g}, but the cluster has {gpus:g} GPUs; leave it out"
            )
        return self.workers if self.workers is not None else self._room_on(resources)

    def fitted_to(self, resources: Mapping[str, float]) -> Placement:
        """The same with no more actors than a cluster with these resources has room for."""
        return replace(self, workers=min(self.actors_on(resources), self._room_on(resources)))

    def _room_on(self, resources: Mapping[str, float]) -> int:
        if self.gpus_per_actor:
            return max(1, int(resources.get("GPU", 0.0) / self.gpus_per_actor + 1e-9))
        return max(1, int(resources.get("CPU", 1.0)))


@contextmanager
def joined(address: str | None) -> Iterator[str]:
    """Be part of a cluster; a Ray that already runs in this process is used as it is, and left running.

    Args:
        address: Of a cluster, "auto" for the one this machine belongs to, or None to start Ray here, for as
            long as the block lasts (unless ``RAY_ADDRESS`` names one).

    Yields:
        The address of Ray's dashboard; "" when it does not run, or when Ray ran before.

    Raises:
        MissingDependencyError: Ray is not installed.
        ClusterError: There is no cluster at this address.
    """
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingDependencyError(
            f'the ray engine needs Ray Data and PyArrow: pip install "featherface[ray]" ({error})'
        ) from None
    if ray.is_initialized():
        yield ""
        return
    try:
        _check_reachable(address)
        context = ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # ConnectionError, RuntimeError, ValueError, by what is wrong
        raise ClusterError(
            f"cannot join a Ray cluster at {address or 'this machine'}: {_line(error)}"
        ) from None
    try:
        yield f"http://{context.dashboard_url}" if context.dashboard_url else ""
    finally:
        ray.shutdown()


def _check_reachable(address: str | None) -> None:
    """Knocks at ``host:port``, for which Ray itself would wait minutes.

    Raises:
        OSError: Nobody answers.
    """
    host, _, port = (address or "").rpartition(":")
    if host and port.isdigit() and "://" not in host:
        socket.create_connection((host, int(port)), timeout=_KNOCK_SECONDS).close()


def cluster_resources() -> dict[str, float]:
    """CPUs and GPUs of the cluster that was joined."""
    import ray

    found: dict[str, float] = ray.cluster_resources()
    return found


def stream(plan: Plan, numbers: Sequence[int], *, placement: Placement) -> Generator[Batch, None, None]:
    """Runs shards of a plan through the cluster.

    Args:
        plan: The job.
        numbers: Of the shards that are wanted.
        placement: What to take of the cluster.

    Yields:
        The columns of the last stage in whatever order they come, with ``worker`` and ``seconds``.

    Raises:
        ModelError: The network failed on a worker.
        ClusterError: Machines were lost, and Ray could not make up for it.
    """
    import ray
    from ray.exceptions import RayError

    actors = placement.actors_on(cluster_resources())
    on_gpu = placement.gpus_per_actor > 0
    helpers: dict[str, Any] = {
        "num_cpus": 1.0 if on_gpu else _HELPER_CORES,
        "compute": ray.data.TaskPoolStrategy(size=None if on_gpu else actors),
    }
    shards = ray.data.from_items(
        [{"shard": number, "spec": plan.shards[number].to_json()} for number in numbers],
        override_num_blocks=len(numbers),
    )
    _settle(shards.context)
    watch = _Watch()
    # Not all versions of Ray Data let somebody watch; those that do not wait for machines to come.
    if hasattr(shards.context, "custom_execution_callback_classes"):
        shards.context.custom_execution_callback_classes = [lambda: watch]
    photos = shards.map_batches(decode_shards, batch_format="numpy", **helpers)
    faces = photos.map_batches(
        _Detecting,
        batch_format="numpy",
        fn_constructor_kwargs={"plan": _without_shards(plan), "device": placement.device},
        compute=ray.data.ActorPoolStrategy(size=actors),
        num_cpus=1.0 if on_gpu else _ACTOR_CORES,
        num_gpus=placement.gpus_per_actor or None,
    )
    if plan.anonymize is not None:
        faces = faces.map_batches(HideFaces(plan.anonymize).__call__, batch_format="numpy", **helpers)
    try:
        for batch in faces.iter_batches(batch_size=None, batch_format="numpy", prefetch_batches=1):
            watch.something_came()
            yield batch
            watch.something_came()
    except RayError as error:
        if (cause := _cause(error)) is not None:
            raise cause from error
        raise ClusterError(_line(error)) from error


class _Watch:
    """Ends a data set that waits for machines that have left.

    What was lost with a machine Ray repeats in the very actors that made it, started again. Where the other
    machines are full of actors there is no room for these, and Ray Data would wait until a machine comes. An
    exception in this callback, which Ray Data calls at each of its steps, ends the data set.
    """

    def __init__(self) -> None:
        self._machines = _machines()
        self._looked = 0.0
        self.something_came()

    def something_came(self) -> None:
        """The data set is alive."""
        self._last = time.monotonic()

    def before_execution_starts(self, _executor: Any) -> None:
        """See Ray Data's ``ExecutionCallback``, also below."""

    def on_execution_step(self, _executor: Any) -> None:
        """Looks for machines that are gone, when nothing has come for a while."""
        now = time.monotonic()
        if now - self._last < _PATIENCE_SECONDS or now - self._looked < _LOOK_SECONDS:
            return
        self._looked = now
        if lost := self._machines - _machines():
            raise ClusterError(f"{len(lost)} of {len(self._machines)} machines have left")

    def after_execution_succeeds(self, _executor: Any) -> None:
        """Nothing is left to watch."""

    def after_execution_fails(self, _executor: Any, error: Exception) -> None:
        """Likewise."""


def _machines() -> set[str]:
    """Those of the cluster that are there."""
    import ray

    return {node["NodeID"] for node in ray.nodes() if node["Alive"]}


def _without_shards(plan: Plan) -> Plan:
    return replace(plan, shards=())


def _settle(context: Any) -> None:
    """What this data set needs of Ray Data, and no other data set notices."""
    context.target_max_block_size = _BLOCK_BYTES
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.enable_tensor_extension_casting = True
    context.raise_original_map_exception = True  # else ours is lost on its way to the driver


class _Detecting(DetectFaces):
    """The stage as the job runs it: it also says who did the work and how long it took."""

    def __init__(self, plan: Plan, device: str) -> None:
        cv2.setNumThreads(1)  # the process is this actor's alone; Ray itself settles OpenMP
        self._name = f"{socket.gethostname()}/{os.getpid()}"
        # Of an error in here Ray hands on the text alone, so it waits for the first photos.
        self._refusal: FeatherFaceError | None = None
        try:
            super().__init__(
                plan.model,
                keep_image=plan.anonymize is not None,
                device=device,
                threads=1,
                **plan.settings(),
            )
        except FeatherFaceError as error:
            self._refusal = error

    def __call__(self, batch: Mapping[str, Any]) -> Batch:
        start = time.perf_counter()
        try:
            if self._refusal is not None:
                raise self._refusal
            found = super().__call__(batch)
        except FeatherFaceError as error:  # some of them take arguments that pickling does not keep
            raise ModelError(f"on {socket.gethostname()}: {error}") from None
        seconds = (time.perf_counter() - start) / max(1, rows(batch))
        found["worker"] = column([self._name] * rows(batch))
        found["seconds"] = np.full(rows(batch), seconds)
        return found


def _cause(error: BaseException) -> FeatherFaceError | None:
    """The error of ours at the bottom of one of Ray's."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, FeatherFaceError):
            return ModelError(str(seen))
        seen = getattr(seen, "cause", None) or seen.__cause__
    return None


def _line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[-1][:200] if lines else 'no message'}"
