from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ffcli.app import run
from ffcore.images import read_image
from tests.cli.conftest import PHOTOS
from tests.cli.test_detect import ROOT
from tests.detection.toys import toy_onnx

SMALL = ["--size", "64", "--rounds", "2", "--warmup", "0", "--no-memory", "--quiet"]


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    return toy_onnx(tmp_path / "toy.onnx", metadata={"featherface.ap.easy": "0.5"})


def test_json_holds_parts_versions_and_every_round(
    toy: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = PHOTOS / "astronaut.jpg"
    arguments = ["-m", str(toy), "-m", str(weights), "--onnx", str(toy), "--photo", str(photo)]
    assert run(["benchmark", *arguments, *SMALL, "--json"]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert captured.err == ""
    assert [each["kind"] for each in found["candidates"]] == ["detector", "detector", "network"]
    assert [each["device"] for each in found["candidates"]] == [
        "CPUExecutionProvider",
        "cpu",
        "CPUExecutionProvider",
    ]
    assert all(len(each["network"]["rounds_ms"]) == 2 for each in found["candidates"])
    assert found["candidates"][0]["ratio"] == 1
    assert found["photo"] == str(photo)
    assert {"onnxruntime", "torch", "opencv"} <= set(found["machine"]["versions"])


def test_csv_has_a_line_for_each(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["benchmark", "-m", str(toy), "--onnx", str(toy), *SMALL, "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["name"] for row in rows] == ["toy.onnx", "toy.onnx (2)"]
    assert rows[0]["end_to_end_ms"]
    assert not rows[1]["end_to_end_ms"]


def test_memory_is_measured_unless_it_is_not_wanted(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = [option for option in SMALL if option != "--no-memory"]
    assert run(["benchmark", "-m", str(toy), *small, "--json"]) == 0
    memory = json.loads(capsys.readouterr().out)["candidates"][0]["memory"]
    assert (memory is None) == (sys.platform == "win32")
    assert memory is None or memory["process"] > memory["growth"] > 0


def test_the_picture_is_drawn_beside_the_table(
    toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["benchmark", "-m", str(toy), *SMALL, "--plot", str(tmp_path / "plot.png")]) == 0
    assert "network alone" in capsys.readouterr().out
    assert read_image(tmp_path / "plot.png").std() > 1


def test_a_picture_without_points_costs_no_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    silent = toy_onnx(tmp_path / "silent.onnx")
    assert run(["benchmark", "-m", str(silent), *SMALL, "--plot", str(tmp_path / "plot.png")]) == 3
    captured = capsys.readouterr()
    assert "silent.onnx" in captured.out
    assert "no file states its AP" in captured.err


def test_the_tables_fit_a_terminal_of_80_columns(tmp_path: Path) -> None:
    pty = pytest.importorskip("pty", reason="this system has no pseudo terminals")
    long = toy_onnx(tmp_path / "a-detector-with-a-rather-long-name.onnx")
    command = [sys.executable, "-m", "ffcli", "benchmark", "-m", str(long), "--onnx", str(long), *SMALL]
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": "80", "TERM": "xterm"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=theirs) as process:
        os.close(theirs)
        shown = b""
        try:
            while block := os.read(ours, 4096):
                shown += block
        except OSError:  # how Linux tells that nobody holds the other end any more
            pass
    os.close(ours)
    assert process.returncode == 0
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown.decode()).replace("\r", "").split("\n")
    assert max(map(len, lines)) <= 80
    assert "…" not in shown.decode()
    numbers = [re.findall(r"\d+\.\d\d\b", line) for line in lines if line.startswith("a-detector")]
    assert [len(each) for each in numbers if each] == [3, 3, 5]  # whole, though the name is folded


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "name at least one"),
        (["-m", "toy.onnx", "--backend", "torch"], 2, "torch cannot run this kind of file"),
        (["--onnx", "toy.onnx", "--backend", "torch"], 2, "torch cannot run an ONNX file"),
        (["-m", "toy.onnx", "--backend", "tensorflow"], 2, "onnxruntime"),
        (["-m", "toy.onnx", "--json", "--csv"], 2, "--json and --csv would both be printed"),
        (["-m", "toy.onnx", "--plot", "picture.txt"], 2, "choose one of these"),
        (["-m", "toy.onnx", "--size", "big"], 2, "is no size"),
        (["-m", "toy.onnx", "--rounds", "0"], 2, "--rounds"),
        (["-m", "toy.onnx", "--photo", "nothing.jpg"], 3, "does not exist"),
        (["-m", "nothing.onnx"], 4, "no such file"),
        (["--onnx", "text.onnx"], 4, "text.onnx"),
        (["--onnx", "toy.onnx", "--size", "17"], 4, "does not run on an input of 1×3×17×17"),
    ],
)
def test_mistakes_are_one_line_with_their_exit_code(
    arguments: list[str],
    code: int,
    message: str,
    toy: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(toy.parent)
    Path("text.onnx").write_text("no graph at all", encoding="utf-8")
    assert run(["benchmark", *arguments]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.startswith("featherface: ")
    assert captured.err.count("\n") == 1
