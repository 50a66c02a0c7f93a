from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_detect import ROOT

pty = pytest.importorskip("pty", reason="this system has no pseudo terminals")


def on_a_terminal(*arguments: object, stdout: bool, columns: int = 60) -> tuple[str, str]:
    """Runs the program with stderr, and stdout if wanted, on a terminal; what came there, and in the pipe."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "ffcli", *map(str, arguments)]
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm-256color"}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=theirs if stdout else subprocess.PIPE, stderr=theirs
    ) as process:
        os.close(theirs)
        shown = b""
        try:
            while block := os.read(ours, 4096):
                shown += block
        except OSError:  # how Linux tells that nobody holds the other end any more
            pass
        printed = b"" if process.stdout is None else process.stdout.read()
    os.close(ours)
    return shown.decode(), printed.decode()


def test_results_go_to_stdout_also_while_a_bar_is_drawn_on_stderr(photos: Path, weights: Path) -> None:
    options = ("--model", weights, "--score", "0", "--max-faces", "1")
    shown, printed = on_a_terminal("detect", photos, *options, "--jsonl", stdout=False)
    assert [len(json.loads(line)["faces"]) for line in printed.splitlines()] == [1, 1]
    assert "landmarks" not in shown
    assert "2 faces in 2 sources" in shown


def test_no_bar_is_drawn_through_results_on_the_same_terminal(photos: Path, weights: Path) -> None:
    shown, _ = on_a_terminal("detect", photos, "--model", weights, "--score", "1", "--jsonl", stdout=True)
    assert shown.count('"faces": []') == 2
    assert "━" not in shown


@pytest.mark.parametrize("columns", [40, 60, 100])
def test_the_summary_leaves_out_columns_rather_than_cutting_numbers(
    columns: int, photos: Path, weights: Path
) -> None:
    options = ("--model", weights, "--score", "0", "--max-faces", "1", "--max-side", "64")
    shown, _ = on_a_terminal("detect", photos, *options, stdout=True, columns=columns)
    summary = shown[shown.rindex("source ") :]
    assert "…" not in summary
    assert "512×512" in summary
    assert ("note" in summary) == (columns > 40)
    assert max(len(re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip()) for line in summary.splitlines()) <= columns


def test_numbers_are_never_cut_on_a_narrow_terminal() -> None:
    shown, _ = on_a_terminal(
        "count-params", "--model", "v1", "--model", "v2", "--model", "v1-original", stdout=True
    )
    assert "…" not in shown
    assert all(number in shown for number in ("489,015", "256,156", "592,371", "-47.6 %", "+21.1 %"))
    for name in ("v1", "v2", "v1-original"):
        assert f"\n{name}\r\n" in shown.replace("\x1b[3m", "").replace("\x1b[0m", "")
