"""How long detectors take, part by part and beside each other, on this machine."""

from __future__ import annotations

from ffcore.benchmark.job import benchmark
from ffcore.benchmark.machine import Machine
from ffcore.benchmark.options import BenchmarkOptions
from ffcore.benchmark.plots import check_plot, plot_benchmark
from ffcore.benchmark.result import BenchmarkResult, Measurement, Memory, Stages, Timing

__all__ = [
    "BenchmarkOptions",
    "BenchmarkResult",
    "Machine",
    "Measurement",
    "Memory",
    "Stages",
    "Timing",
    "benchmark",
    "check_plot",
    "plot_benchmark",
]
