"""How long the official WIDER FACE score takes: ground truth, prediction files, matching and curves.

    FEATHERFACE_REFERENCE=DIR python benchmarks/widerface_scoring.py [--rounds 5]

Unpacks the three reference sets of predictions into a temporary folder, so the files are read from
the cache of the system. The public Python evaluator with its compiled overlap took 79 s (real_a), 76 s
(real_b) and 53 s (synthetic) on two shared cores; the goal is a twenty-fifth of that.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import numpy as np

from ffcore.evaluation.predictions import read_predictions
from ffcore.evaluation.scoring import match_predictions, score
from ffcore.evaluation.wider_mat import read_wider_ground_truth

WHOLE = """
import sys
from ffcore.evaluation.predictions import read_predictions
from ffcore.evaluation.scoring import evaluate
from ffcore.evaluation.wider_mat import read_wider_ground_truth
truth = read_wider_ground_truth(sys.argv[1])
evaluate(truth, read_predictions(sys.argv[2], truth))
"""


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    reference = os.environ.get("FEATHERFACE_REFERENCE")
    if not reference:
        parser.error("FEATHERFACE_REFERENCE does not name the folder with the reference data")
    source = Path(reference) / "evaluation"
    golden = json.loads((source / "golden.json").read_text())

    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{_processor()}, {os.cpu_count()} cores, load {load}, {platform.system()}")
    print(f"Python {platform.python_version()}, NumPy {np.__version__}; medians of {options.rounds}, in ms")
    print(f"{'set':10} {'boxes':>8} {'.mat':>6} {'read':>6} {'match':>6} {'curves':>6} {'sum':>6} process")
    with tempfile.TemporaryDirectory() as temporary:
        for name, facts in golden["all_images"].items():
            folder = Path(temporary) / name
            with tarfile.open(source / facts["file"]) as archive:
                archive.extractall(folder, filter="data")
            rounds = [_time(source / "ground_truth", folder, facts["ap"]) for _ in range(options.rounds)]
            columns = [statistics.median(column) for column in zip(*rounds, strict=True)]
            process = statistics.median(
                _time_process(source / "ground_truth", folder) for _ in range(options.rounds)
            )
            cells = " ".join(f"{1e3 * value:6.0f}" for value in (*columns, sum(columns)))
            public = facts["reference_seconds"]
            print(
                f"{name:10} {facts['boxes']:8,} {cells} {1e3 * process:8.0f}"
                f"   {public / process:.0f} times as fast as the public {public:.0f} s"
            )


def _time(truth_folder: Path, folder: Path, expected: dict[str, float]) -> tuple[float, ...]:
    times = [time.perf_counter()]
    truth = read_wider_ground_truth(truth_folder)
    times.append(time.perf_counter())
    predictions = read_predictions(folder, truth)
    times.append(time.perf_counter())
    matched = match_predictions(truth, predictions)
    times.append(time.perf_counter())
    result = score(matched)
    times.append(time.perf_counter())
    for name, ap in expected.items():  # a fast wrong answer is no answer
        found = result.ap[name]
        assert found is not None
        assert abs(found - ap) < 1e-9
    return tuple(np.diff(times))


def _time_process(truth_folder: Path, folder: Path) -> float:
    """The whole in a fresh process, with the start of Python and all imports."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", WHOLE, str(truth_folder), str(folder)], check=True)
    return time.perf_counter() - start


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(": ")[2] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
