"""A detector that works for days: memory stays flat, and threads may share it.

``FEATHERFACE_LONG_RUN=20000`` asks for so many detections.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from ffcore import FaceDetector, Faces
from ffcore.images import read_image

ROOT = Path(__file__).parents[2]
COUNT = int(os.environ.get("FEATHERFACE_LONG_RUN", "300"))
SLACK = 12_000_000
"""Bytes between two halves of a run that say nothing: what allocators keep for another size."""


@pytest.mark.skipif(sys.platform != "linux", reason="what a process holds is read from /proc")
def test_memory_stays_flat_over_many_detections_of_changing_sizes() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.detection.long_run", str(COUNT)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    answer = json.loads(done.stdout)
    assert answer["found"] > COUNT / 20
    held, objects = answer["held"], answer["objects"]
    middle, end = held[len(held) // 3 : 2 * len(held) // 3], held[2 * len(held) // 3 :]
    assert statistics.median(end) - statistics.median(middle) < SLACK, held
    assert max(objects[2:]) - min(objects[2:]) < 100, objects


@pytest.mark.parametrize("model", ["v2", "v2.safetensors"])
def test_eight_threads_on_one_detector_give_the_same_results_as_one(model: str) -> None:
    if model != "v2":
        pytest.importorskip("torch")
    detector = FaceDetector.load(model, device="cpu", threads=1, score=0.3)
    photo = read_image(ROOT / "examples" / "photos" / "group.jpg")
    rng = np.random.default_rng(0)
    sizes = rng.integers(60, 300, (48, 2))
    parts = [photo[y : y + h, x : x + w] for (h, w), (y, x) in zip(sizes, sizes[::-1], strict=True)]
    expected = [detector(part) for part in parts]
    assert sum(map(len, expected)) > 20
    start = threading.Barrier(8)

    def work(offset: int) -> list[Faces]:
        start.wait()
        return [detector(part) for part in parts[offset:] + parts[:offset]]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(work, range(0, 48, 6)))
    for offset, faces in zip(range(0, 48, 6), found, strict=True):
        assert faces == expected[offset:] + expected[:offset]
