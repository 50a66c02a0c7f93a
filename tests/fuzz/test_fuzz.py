"""Damaged files of every kind: no traceback, no hang, no crash, little memory, nothing overwritten.

``FEATHERFACE_FUZZ=10000`` asks for so many inputs altogether, ``FEATHERFACE_FUZZ_SEED=7`` for others.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.kinds import KINDS

ROOT = Path(__file__).parents[2]
TOTAL = int(os.environ.get("FEATHERFACE_FUZZ", "1500"))
SEED = int(os.environ.get("FEATHERFACE_FUZZ_SEED", "0"))


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited through /proc and RLIMIT_AS")
@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_refused_in_one_line_or_read(kind: str, tmp_path: Path) -> None:
    count = round(TOTAL * KINDS[kind].share / sum(each.share for each in KINDS.values()))
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.worker", kind, str(SEED), str(count), str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    at = (tmp_path / "at").read_text() if (tmp_path / "at").exists() else "before the first input"
    assert done.returncode == 0, f"the process ended with {done.returncode} at {at}\n{done.stderr[-4000:]}"
    answer = json.loads(done.stdout.splitlines()[-1])
    assert not answer["found"], json.dumps(answer["found"], indent=1)
    assert answer["inputs"] == count
    assert answer["refused"] > count / 10  # else the damage does no harm and tests nothing
