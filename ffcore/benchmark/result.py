"""What a benchmark measured, as values."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ffcore.benchmark.machine import Machine

CSV_HEADER = (
    *("name", "kind", "backend", "backend_version", "device", "threads", "batch", "height", "width"),
    *("network_median_ms", "network_p90_ms", "ratio", "network_images_per_second"),
    *("read_ms", "preprocess_ms", "postprocess_ms", "end_to_end_ms", "end_to_end_p90_ms"),
    *("images_per_second", "faces", "memory_mb", "process_mb", "file_mb", "rounds", "cpu"),
)
"""Names of the columns, before those of the APs. Times are those of a whole batch."""


@dataclass(frozen=True)
class Timing:
    """The time that one thing took in each round.

    Args:
        seconds: In the order of the rounds; at least one.
    """

    seconds: tuple[float, ...]

    @property
    def median_ms(self) -> float:
        """Half of the rounds were faster, milliseconds."""
        return float(np.median(self.seconds)) * 1e3

    @property
    def p90_ms(self) -> float:
        """Nine of ten rounds were faster, milliseconds; between two rounds it is interpolated."""
        return float(np.quantile(self.seconds, 0.9)) * 1e3

    def to_dict(self) -> dict[str, Any]:
        """Both and every round, in milliseconds."""
        rounds = [round(value * 1e3, 4) for value in self.seconds]
        return {"median_ms": round(self.median_ms, 4), "p90_ms": round(self.p90_ms, 4), "rounds_ms": rounds}


@dataclass(frozen=True)
class Stages:
    """What comes before and after the network, for a whole batch.

    Args:
        read: From the file to upright BGR pixels.
        preprocess: Resize, borders, mean and layout.
        postprocess: From the network's outputs to faces in photo pixels.
        end_to_end: From the file to the faces, by the detector's own call, in a run of its own.
        faces: Found in the photo.
    """

    read: Timing
    preprocess: Timing
    postprocess: Timing
    end_to_end: Timing
    faces: int


@dataclass(frozen=True)
class Memory:
    """What a process took that only runs this network, in bytes of resident memory.

    Args:
        growth: From before the file is loaded to the highest point of three runs.
        engine: What loading the library that runs it had taken before.
        process: The highest point of the whole process, with Python and all libraries.
    """

    growth: int
    engine: int
    process: int


@dataclass(frozen=True)
class Measurement:
    """All that was measured of one candidate.

    Args:
        name: Of its file; a number follows where several have the same.
        path: The file.
        kind: A whole detector, or only a network.
        backend: The library that ran it.
        backend_version: Its version.
        device: What really computed: a device of torch, or an execution provider.
        batch: Photos in one run.
        size: Height and width of its input, pixels.
        network: The forward pass alone.
        stages: The other parts; None for a network of others.
        memory: None where it could not be measured.
        ap: AP, 0..1, by subset, as the file states it.
        protocol: Under which these were measured, or "".
        file_bytes: Size of the file.
    """

    name: str
    path: Path
    kind: Literal["detector", "network"]
    backend: str
    backend_version: str
    device: str
    batch: int
    size: tuple[int, int]
    network: Timing
    stages: Stages | None = None
    memory: Memory | None = None
    ap: dict[str, float] = field(default_factory=dict)
    protocol: str = ""
    file_bytes: int = 0

    @property
    def ms_per_image(self) -> float:
        """Median network time for one photo, milliseconds."""
        return self.network.median_ms / self.batch

    @property
    def network_images_per_second(self) -> float:
        """By the median of the network alone."""
        return 1e3 / self.ms_per_image

    @property
    def images_per_second(self) -> float | None:
        """From the file to the faces, by the median; None for a network of others."""
        return None if self.stages is None else 1e3 * self.batch / self.stages.end_to_end.median_ms

    @property
    def on_top(self) -> float | None:
        """Reading, pre- and post-processing as a share of the network's time, by the medians."""
        if self.stages is None:
            return None
        around = (self.stages.read, self.stages.preprocess, self.stages.postprocess)
        return sum(timing.median_ms for timing in around) / self.network.median_ms

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values; memory in bytes."""
        stages, memory = self.stages, self.memory
        return {
            "name": self.name,
            "path": str(self.path),
            "kind": self.kind,
            "backend": self.backend,
            "backend_version": self.backend_version,
            "device": self.device,
            "batch": self.batch,
            "size": list(self.size),
            "file_bytes": self.file_bytes,
            "network": self.network.to_dict(),
            "network_images_per_second": round(self.network_images_per_second, 3),
            "read": stages and stages.read.to_dict(),
            "preprocess": stages and stages.preprocess.to_dict(),
            "postprocess": stages and stages.postprocess.to_dict(),
            "end_to_end": stages and stages.end_to_end.to_dict(),
            "images_per_second": None if stages is None else round(self.images_per_second or 0.0, 3),
            "faces": stages and stages.faces,
            "memory": memory
            and {"growth": memory.growth, "engine": memory.engine, "process": memory.process},
            "ap": self.ap,
            "protocol": self.protocol,
        }


@dataclass(frozen=True)
class BenchmarkResult:
    """Candidates that ran in the same rounds, and where.

    Args:
        measurements: In the order in which they were named; ratios refer to the first.
        machine: What it ran on.
        threads: Of the CPU.
        rounds: That were counted.
        warmup: Rounds before these.
        photo: What was read and looked at.
        photo_size: Its height and width, pixels.
    """

    measurements: tuple[Measurement, ...]
    machine: Machine
    threads: int
    rounds: int
    warmup: int
    photo: str
    photo_size: tuple[int, int]

    def ratio(self, measurement: Measurement) -> float:
        """Median network time per photo over that of the first candidate."""
        return measurement.ms_per_image / self.measurements[0].ms_per_image

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, each round included."""
        return {
            "machine": self.machine.to_dict(),
            "threads": self.threads,
            "rounds": self.rounds,
            "warmup": self.warmup,
            "photo": self.photo,
            "photo_size": list(self.photo_size),
            "candidates": [
                {**each.to_dict(), "ratio": round(self.ratio(each), 4)} for each in self.measurements
            ],
        }

    def to_csv(self) -> str:
        """A header and one line per candidate; what was not measured is empty. APs are 0..1."""
        subsets = list(dict.fromkeys(name for each in self.measurements for name in each.ap))
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([*CSV_HEADER, *(f"ap_{name}" for name in subsets)])
        for each in self.measurements:
            writer.writerow([*self._cells(each), *(each.ap.get(name, "") for name in subsets)])
        return text.getvalue()

    def _cells(self, each: Measurement) -> list[str | int | float]:
        stages, memory = each.stages, each.memory
        cells: list[str | int | float] = [each.name, each.kind, each.backend, each.backend_version]
        cells += [each.device, self.threads, each.batch, *each.size]
        cells += [round(each.network.median_ms, 4), round(each.network.p90_ms, 4)]
        cells += [round(self.ratio(each), 4), round(each.network_images_per_second, 3)]
        if stages is None:
            cells += [""] * 7
        else:
            parts = (stages.read, stages.preprocess, stages.postprocess, stages.end_to_end)
            cells += [round(part.median_ms, 4) for part in parts]
            cells += [round(stages.end_to_end.p90_ms, 4), round(each.images_per_second or 0.0, 3)]
            cells.append(stages.faces)
        cells += ["", ""] if memory is None else [round(b / 1e6, 2) for b in (memory.growth, memory.process)]
        return [*cells, round(each.file_bytes / 1e6, 4), self.rounds, self.machine.cpu]
