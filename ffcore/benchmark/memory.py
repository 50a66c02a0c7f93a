"""How much memory a network takes, measured in a process of its own.

In one process with others it could not be told whose memory is whose, and libraries keep what was freed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ffcore.benchmark.candidate import Candidate
from ffcore.benchmark.options import BenchmarkOptions
from ffcore.benchmark.result import Memory
from ffcore.errors import ModelError


def measure_memory(candidate: Candidate, options: BenchmarkOptions) -> Memory | None:
    """Opens the candidate's file in a new process and runs its network three times.

    Args:
        candidate: As it runs here.
        options: Those it was opened with.

    Returns:
        None on a system that does not tell how much memory a process has.

    Raises:
        ModelError: The process failed, mostly because there is too little memory.
    """
    settings = {**asdict(options), "photo": None}
    request = {
        "path": str(candidate.path.resolve()),
        "kind": candidate.kind,
        "engine": candidate.backend,
        "options": settings,
    }
    with tempfile.TemporaryDirectory() as folder:
        question, answer = Path(folder) / "question.json", Path(folder) / "answer.json"
        question.write_text(json.dumps(request), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-P", "-m", "ffcore.benchmark.memory_process", str(question), str(answer)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            # the packages that are found here are to be found there
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
        try:
            found: dict[str, Any] | None = json.loads(answer.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            last = (done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1]
            raise ModelError(f"{candidate.path}: the process for its memory failed: {last}") from None
    return None if found is None else Memory(**found)
