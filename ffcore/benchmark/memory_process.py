"""What runs in the process whose memory is measured: ``python -m ffcore.benchmark.memory_process``."""

from __future__ import annotations

import contextlib
import json
import platform
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ffcore.benchmark.opening import load_engine, open_candidate
from ffcore.benchmark.options import BenchmarkOptions
from ffcore.benchmark.result import Memory

RUNS = 3
"""Some buffers come with the second run only."""


def main(question: Path, answer: Path) -> None:
    """Measures what one file asks for and writes the result to another, ``null`` where nobody can tell."""
    request = json.loads(question.read_text(encoding="utf-8"))
    options = BenchmarkOptions(**{**request["options"], "size": tuple(request["options"]["size"])})
    found = _measure(Path(request["path"]), request["kind"], request["engine"], options)
    answer.write_text(json.dumps(found and asdict(found)), encoding="utf-8")


def _measure(path: Path, kind: Any, engine: str, options: BenchmarkOptions) -> Memory | None:
    bare = _resident()
    load_engine(engine)
    before = _resident()
    _forget_peak()
    candidate = open_candidate(path, kind, options)
    for _ in range(RUNS):
        candidate.run()
    peak = _peak()
    if bare is None or before is None or peak is None:
        return None
    return Memory(growth=max(peak - before, 0), engine=max(before - bare, 0), process=peak)


def _resident() -> int | None:
    """Bytes of memory that the process has now."""
    return _from_status("VmRSS") if platform.system() == "Linux" else _peak()


def _peak() -> int | None:
    """The most bytes that the process ever had, or had since `_forget_peak`."""
    if platform.system() == "Linux":
        # not getrusage: its peak starts with that of the process which started this one
        return _from_status("VmHWM")
    try:
        import resource
    except ImportError:
        return None
    used = int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return used if platform.system() == "Darwin" else used * 1024


def _forget_peak() -> None:
    """Loading a library may have taken more for a moment than the network ever will."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _from_status(name: str) -> int | None:
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    found = next((line for line in lines if line.startswith(f"{name}:")), None)
    return None if found is None else int(found.split()[1]) * 1024


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
