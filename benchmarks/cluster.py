"""How a job on Ray spreads: two workers on two cores against one worker on one core, in turns, in one run.

    python benchmarks/cluster.py [--photos 2000] [--shard 100] [--rounds 3] [--size 640] [--free]

A worker is one actor with its share of decoding on one core. Each job runs in a process of its own, which
starts Ray on the first one or two cores that this process may use (``--free`` leaves one worker both cores,
so that its decoding runs beside its network). Photos a second count from the first finished photos to the
last, without Ray's start. The rates of all rounds, their medians and the ratio are printed, with the load of
the machine before each: on a machine that does something else besides the ratio says nothing.

Needs ``pip install "featherface[ray]"`` and Linux.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import cv2

from ffcore.images import read_image

EXAMPLES = Path(__file__).parent.parent / "examples" / "photos"


def main() -> None:
    """Runs the comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=int, default=2000)
    parser.add_argument("--shard", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=640)
    parser.add_argument("--free", action="store_true", help="one worker may use both cores, too")
    parser.add_argument("--one-job", nargs=3, metavar=("SOURCE", "OUT", "WORKERS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one_job is not None:
        run_job(*options.one_job, size=options.size)
        return
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        parser.error("two cores are needed")
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, cores {cores}")
    rates: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "source")
        write_shards(source, photos=options.photos, each=options.shard)
        for number in range(options.rounds):
            for workers in (1, 2) if number % 2 == 0 else (2, 1):
                own = cores if options.free else cores[:workers]
                load = os.getloadavg()[0]
                out = Path(folder, f"out-{number}-{workers}")
                rate = measured(source, out, workers=workers, cores=own, size=options.size)
                rates[workers].append(rate)
                print(
                    f"round {number + 1}: {workers} on {len(own)} cores, {rate:.1f} photos/s, load {load:.1f}"
                )
    medians = {workers: statistics.median(found) for workers, found in rates.items()}
    print(
        f"medians: one {medians[1]:.1f}, two {medians[2]:.1f} photos/s; ratio {medians[2] / medians[1]:.2f}"
    )


def write_shards(folder: Path, *, photos: int, each: int) -> None:
    """Tar files with the example photos at other sizes and qualities."""
    folder.mkdir()
    rng = random.Random(0)
    images = [read_image(path) for path in sorted(EXAMPLES.glob("*.jpg"))]
    for number in range(photos // each):
        with tarfile.open(folder / f"shard-{number:05d}.tar", "w") as archive:
            for i in range(each):
                image = rng.choice(images)
                scale = rng.choice((320, 480, 640, 800)) / max(image.shape[:2])
                small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
                content = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, rng.randint(60, 95)])[
                    1
                ].tobytes()
                member = tarfile.TarInfo(f"{i:06d}.jpg")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))


def measured(source: Path, out: Path, *, workers: int, cores: list[int], size: int) -> float:
    """Photos a second of one job in a process that may use these cores alone."""
    command = [sys.executable, __file__, "--size", str(size)]
    command += ["--one-job", str(source), str(out), str(workers)]
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)  # inherited by the job and by Ray
    try:
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
    finally:
        os.sched_setaffinity(0, before)
    if ended.returncode:
        sys.exit(ended.stderr)
    return float(json.loads(ended.stdout.splitlines()[-1])["photos_per_second"])


def run_job(source: str, out: str, workers: str, *, size: int) -> None:
    """One job on a Ray of its own; prints its rate between the first and the last finished photos."""
    import ray

    from ffcore.events import Event
    from ffcore.jobs.run import detect_on_cluster
    from ffcore.jobs.summary import JobAdvanced

    steps: list[tuple[float, int]] = []

    def on_event(event: Event) -> None:
        if isinstance(event, JobAdvanced):
            steps.append((event.seconds, event.new))

    ray.init(num_cpus=int(workers), include_dashboard=False, log_to_driver=False)
    try:
        detect_on_cluster([source], out, workers=int(workers), size=size, on_event=on_event)
    finally:
        ray.shutdown()
    (start, first), (end, last) = steps[0], steps[-1]
    print(json.dumps({"photos_per_second": (last - first) / (end - start)}))


if __name__ == "__main__":
    main()
