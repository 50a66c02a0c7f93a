"""A benchmark: all candidates, round after round, in one run."""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal

import cv2

from ffcore.benchmark.candidate import Candidate, Sample, stated_aps
from ffcore.benchmark.machine import describe_machine
from ffcore.benchmark.memory import measure_memory
from ffcore.benchmark.opening import engine_version, open_candidate
from ffcore.benchmark.options import BenchmarkOptions
from ffcore.benchmark.picture import write_picture
from ffcore.benchmark.result import BenchmarkResult, Measurement, Memory, Stages, Timing
from ffcore.detection.loading import tensors_file, weights_file
from ffcore.errors import ConfigError, ModelError
from ffcore.events import Advanced, Noticed, OnEvent, Started, ignore
from ffcore.images import read_image


def benchmark(
    models: Sequence[str | Path],
    networks: Sequence[str | Path] = (),
    *,
    options: BenchmarkOptions | None = None,
    on_event: OnEvent = ignore,
) -> BenchmarkResult:
    """Measures detectors and networks beside each other.

    In each round every candidate runs once, and the order moves on by one from round to round, so that a
    machine whose speed drifts is fair to all. Threads of OpenCV and torch are set for the time it takes
    (torch keeps them where it was not loaded before).

    Args:
        models: Files of our detectors, or names of weights that come with the package.
        networks: Any other ONNX files, of which only the network is timed.
        options: How; the defaults when None.
        on_event: Told about progress, and what could not be measured.

    Returns:
        One measurement per candidate, models first.

    Raises:
        ConfigError: There is nothing to measure, or a file cannot be run this way.
        CheckpointError: A file is not what it was given as.
        UnknownModelError: A name of no weights.
        ImageError: The photo cannot be read.
        MissingDependencyError: A library or the device is not there.
        ModelError: A network failed.
    """
    options = options or BenchmarkOptions()
    if not models and not networks:
        raise ConfigError("name at least one detector or one ONNX file to measure")
    files: list[tuple[Path, Literal["detector", "network"]]] = []
    find = tensors_file if options.backend == "torch" else weights_file
    files += [(find(model), "detector") for model in models]
    files += [(Path(network), "network") for network in networks]
    with ExitStack() as stack:
        photo = options.photo
        if photo is None:
            photo = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "picture.jpg"
            write_picture(photo)
        height, width = read_image(photo).shape[:2]
        stack.enter_context(_threads(options.threads))
        candidates = [open_candidate(path, kind, options) for path, kind in files]
        machine = describe_machine()  # now, for the load is not yet ours
        memory = _memory(candidates, options, on_event)
        samples = _rounds(candidates, photo, options, on_event)
    names = _names([candidate.path for candidate in candidates])
    return BenchmarkResult(
        measurements=tuple(
            _measurement(name, candidate, samples=each, memory=took)
            for name, candidate, each, took in zip(names, candidates, samples, memory, strict=True)
        ),
        machine=machine,
        threads=options.threads,
        rounds=options.rounds,
        warmup=options.warmup,
        photo="generated" if options.photo is None else str(options.photo),
        photo_size=(height, width),
    )


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """OpenCV and torch count threads for the whole process; afterwards they do as before."""
    torch = sys.modules.get("torch")
    before = cv2.getNumThreads(), None if torch is None else torch.get_num_threads()
    cv2.setNumThreads(count)
    try:
        yield
    finally:
        cv2.setNumThreads(before[0])
        if torch is not None:
            torch.set_num_threads(before[1])


def _memory(
    candidates: Sequence[Candidate], options: BenchmarkOptions, on_event: OnEvent
) -> list[Memory | None]:
    if not options.memory:
        return [None] * len(candidates)
    on_event(Started("processes for memory", len(candidates)))
    found: list[Memory | None] = []
    for candidate in candidates:
        try:
            found.append(measure_memory(candidate, options))
        except ModelError as error:
            found.append(None)
            on_event(Noticed(candidate.path.name, str(error)))
        on_event(Advanced(candidate.path.name))
    return found


def _rounds(
    candidates: Sequence[Candidate], photo: Path, options: BenchmarkOptions, on_event: OnEvent
) -> list[list[Sample]]:
    """The counted samples of each candidate."""
    samples: list[list[Sample]] = [[] for _ in candidates]
    total = options.warmup + options.rounds
    on_event(Started("rounds", total))
    for turn in range(total):
        for place in range(len(candidates)):
            index = (turn + place) % len(candidates)
            sample = candidates[index].round(photo)
            if turn >= options.warmup:
                samples[index].append(sample)
        on_event(Advanced(f"round {turn + 1}"))
    return samples


def _measurement(
    name: str, candidate: Candidate, *, samples: Sequence[Sample], memory: Memory | None
) -> Measurement:
    around = [sample.around for sample in samples if sample.around is not None]
    ap, protocol = stated_aps(candidate.facts)
    return Measurement(
        name=name,
        path=candidate.path,
        kind=candidate.kind,
        backend=candidate.backend,
        backend_version=engine_version(candidate.backend),
        device=candidate.device,
        batch=candidate.batch,
        size=candidate.size,
        network=Timing(tuple(sample.network for sample in samples)),
        stages=Stages(
            read=Timing(tuple(each.read for each in around)),
            preprocess=Timing(tuple(each.preprocess for each in around)),
            postprocess=Timing(tuple(each.postprocess for each in around)),
            end_to_end=Timing(tuple(each.end_to_end for each in around)),
            faces=around[0].faces,
        )
        if around
        else None,
        memory=memory,
        ap=ap,
        protocol=protocol,
        file_bytes=candidate.path.stat().st_size,
    )


def _names(paths: Sequence[Path]) -> list[str]:
    """File names; equal ones are numbered."""
    seen: Counter[str] = Counter()
    names = []
    for path in paths:
        seen[path.name] += 1
        names.append(path.name if seen[path.name] == 1 else f"{path.name} ({seen[path.name]})")
    return names
