"""Results made up, so that what is computed from them can be worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ffcore.benchmark import BenchmarkResult, Machine, Measurement, Stages, Timing


def ms(*values: float) -> Timing:
    return Timing(tuple(value / 1e3 for value in values))


def measured(name: str, *network: float, **changes: Any) -> Measurement:
    values: dict[str, Any] = {
        "path": Path(name),
        "kind": "network",
        "backend": "onnxruntime",
        "backend_version": "1.0",
        "device": "CPUExecutionProvider",
        "batch": 1,
        "size": (480, 640),
        "network": ms(*network),
        "file_bytes": 1_500_000,
    }
    return Measurement(name=name, **{**values, **changes})


def stages(**milliseconds: float) -> Stages:
    timings = {name: ms(value) for name, value in milliseconds.items()}
    return Stages(**timings, faces=3)


def result(*measurements: Measurement) -> BenchmarkResult:
    machine = Machine(cpu="A CPU", cores=2, gpu="", load=0.5, system="Linux", versions={"numpy": "2"})
    return BenchmarkResult(
        measurements=measurements,
        machine=machine,
        threads=1,
        rounds=3,
        warmup=1,
        photo="generated",
        photo_size=(768, 1024),
    )
