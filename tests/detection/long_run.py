"""Many detections at changing sizes in one process: what it holds, again and again, as a line of JSON.

python -m tests.detection.long_run COUNT
"""

from __future__ import annotations

import gc
import json
import os
import sys
from pathlib import Path

import numpy as np

from ffcore import FaceDetector
from ffcore.images import read_image

PHOTO = Path(__file__).parents[2] / "examples" / "photos" / "astronaut.jpg"
SIDES = (32, 257)  # of the inputs, pixels
READINGS = 20


def main() -> None:
    """Runs the detections."""
    count = int(sys.argv[1])
    detector = FaceDetector.load("v2", device="cpu", threads=1)
    photo = read_image(PHOTO)
    rng = np.random.default_rng(0)
    held: list[int] = []
    objects: list[int] = []
    found = 0
    for number in range(count):
        height, width = (int(side) for side in rng.integers(*SIDES, 2))
        top, left = (int(place) for place in rng.integers(0, 512 - np.array((height, width))))
        part = photo[top : top + height, left : left + width]
        # one by one and in batches, as arrays that are contiguous and that are not
        found += len(detector(part)) if number % 5 else sum(map(len, detector([part, photo[:64, :64]])))
        if (number + 1) % max(count // READINGS, 1) == 0:
            gc.collect()
            held.append(_held())
            objects.append(len(gc.get_objects()))
    print(json.dumps({"found": found, "held": held, "objects": objects}))  # noqa: T201  # the answer


def _held() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
