"""Whether memory grows with the number of image sizes that one process has seen.

    python benchmarks/memory_by_size.py [--model v2] [--sizes 600] [--largest 320] [--backend onnxruntime]

Photos of random content and of sizes that never repeat go through a detector. After a warm-up at the largest
size, whatever is kept for a size would show as growth from one quarter of the run to the next.
"""

from __future__ import annotations

import argparse
import gc
from pathlib import Path
from typing import Any

import numpy as np

from ffcore.detection import FaceDetector
from ffcore.detection.loading import load_backend
from ffcore.detection.options import DetectorOptions


def resident() -> float:
    """Megabytes of memory that the process has now (Linux)."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1]) * 1024 / 1e6


def different_sizes(count: int, *, largest: int) -> list[tuple[int, int]]:
    """Heights and widths, each pair once, in random order; the same every time."""
    side = np.arange(largest // 2, largest + 1)
    pairs = np.random.default_rng(0).choice(len(side) ** 2, size=count, replace=False)
    return [(int(side[pair // len(side)]), int(side[pair % len(side)])) for pair in pairs]


def main() -> None:
    """Prints a line for each quarter of the sizes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="v2")
    parser.add_argument("--sizes", type=int, default=600)
    parser.add_argument("--largest", type=int, default=320)
    parser.add_argument("--backend", choices=("onnxruntime", "openvino", "torch"), default=None)
    given: Any = parser.parse_args()
    backend = load_backend(given.model, backend=given.backend, device="cpu", threads=1)
    detector = FaceDetector(backend, DetectorOptions(multiple=1, score=0.02))
    random = np.random.default_rng(1)
    for _ in range(3):
        detector(np.zeros((given.largest, given.largest, 3), np.uint8))
    sizes = different_sizes(given.sizes, largest=given.largest)
    before = resident()
    print(f"{backend.name} on {backend.device}, {given.model}: {before:.1f} MB after the largest size")
    for number, (height, width) in enumerate(sizes, start=1):
        detector(random.integers(0, 256, (height, width, 3), np.uint8))
        if number % max(len(sizes) // 4, 1) == 0:
            gc.collect()
            print(f"{number:6d} sizes: {resident():8.1f} MB, {resident() - before:+.1f}")


if __name__ == "__main__":
    main()
