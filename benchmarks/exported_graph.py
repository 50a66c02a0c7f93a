"""An exported graph against its straightforward form and against other detectors, in one run.

    FEATHERFACE_REFERENCE=... python benchmarks/exported_graph.py [--model v2] [--size 640] [--rounds 40]

All graphs take turns in random order, one thread each, on ONNX Runtime's CPU provider with the sessions of
the library's own detector. Printed are medians and, for every pair of graphs, the median over all rounds of
the ratio within the round. "fixed" is the fast graph with batch, height and width fixed, as those of some
peers are. Times are those that the processor spent on the thread (a busy machine stretches the clock on the
wall at random); --wall prints the clock instead. The peers are the ONNX files in the
folder ``peers`` of FEATHERFACE_REFERENCE; without it the comparison is with the straightforward form alone.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime

from ffcore.benchmark.machine import describe_machine
from ffcore.detection.loading import tensors_file
from ffcore.detection.onnxruntime_session import OnnxRuntimeSession
from ffcore.export.onnx_graph import export_onnx
from ffcore.models.weights import load_network

PEERS = ("scrfd_500m_bnkps.onnx", "yunet_n_640.onnx", "yunet_n_dynamic.onnx")
WARM_UP = 3


def main() -> None:
    """Runs the comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="v2", help="weights, or the name of shipped ones")
    parser.add_argument("--size", type=int, default=640)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--wall", action="store_true")
    options = parser.parse_args()
    clock = time.perf_counter if options.wall else time.thread_time

    with tempfile.TemporaryDirectory() as folder:
        network = load_network(tensors_file(options.model))
        files = {form: Path(folder) / f"{form}.onnx" for form in ("fast", "fixed", "plain")}
        export_onnx(network, files["fast"])
        export_onnx(network, files["fixed"], size=(options.size, options.size))
        export_onnx(network, files["plain"], form="plain")
        for form, file in files.items():
            print(f"{form:24} {file.stat().st_size:>10,} bytes")
        reference = os.environ.get("FEATHERFACE_REFERENCE")
        if reference:
            files |= {Path(name).stem: Path(reference, "peers", name) for name in PEERS}
        runs = {name: _run(file, options.size) for name, file in files.items()}

    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(options.rounds + WARM_UP):
        for name in random.sample(list(runs), len(runs)):
            start = clock()
            runs[name]()
            if turn >= WARM_UP:
                times[name].append(clock() - start)

    print(f"{describe_machine().cpu}, ONNX Runtime {onnxruntime.__version__}, 1 thread")
    print(f"{options.size}×{options.size}, {options.rounds} rounds, {'wall' if options.wall else 'CPU'} time")
    print(f"{'':24} {'median':>9} {'10 %':>9}  ratio to " + ", ".join(runs))
    for name, values in times.items():
        ratios = [
            statistics.median(a / b for a, b in zip(values, others, strict=True)) for others in times.values()
        ]
        print(
            f"{name:24} {1e3 * statistics.median(values):6.2f} ms {1e3 * np.quantile(values, 0.1):6.2f} ms  "
            + "  ".join(f"{ratio:.3f}" for ratio in ratios)
        )


def _run(file: Path, size: int) -> Callable[[], object]:
    session = OnnxRuntimeSession(file, device="cpu", threads=1)
    name = session.inputs[0].name
    pixels = np.random.default_rng(0).normal(0, 60, (1, 3, size, size)).astype(np.float32)
    return lambda: session.run({name: pixels})


if __name__ == "__main__":
    main()
