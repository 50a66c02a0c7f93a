from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_detect import ROOT

ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="names and devices as Linux has them")


def program(*arguments: object, names: bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "ffcli", *map(str, arguments)]
    return subprocess.run(
        command, cwd=ROOT, input=names, capture_output=True, check=False, env={**os.environ, **environment}
    )


def test_results_are_utf_8_whatever_the_locale_says(photos: Path, weights: Path) -> None:
    source = shutil.copy(photos / "astronaut.jpg", photos / "фото.jpg")
    options = ("--model", weights, "--score", "1")
    for form in ("--json", "--csv"):
        done = program("detect", source, *options, form, PYTHONIOENCODING="ascii")
        assert done.returncode == 0, done.stderr
        assert form == "--csv" or json.loads(done.stdout)[0]["image"] == str(source)
    done = program("detect", source, *options, PYTHONIOENCODING="latin-1")
    assert done.stdout.decode("utf-8") == f"{source}\t512×512\t0\n"


@ON_LINUX
def test_a_name_that_is_no_text_comes_from_stdin_and_back_through_json(photos: Path, weights: Path) -> None:
    name = os.fsencode(photos) + b"/l\xe4tin.jpg"
    Path(os.fsdecode(name)).write_bytes((photos / "astronaut.jpg").read_bytes())
    options = ("--model", weights, "--jsonl", "--score", "1")
    done = program("detect", "-", *options, names=name + b"\n", PYTHONIOENCODING="utf-8:strict")
    assert done.returncode == 0, done.stderr
    assert os.fsencode(json.loads(done.stdout)["image"]) == name


@ON_LINUX
@pytest.mark.parametrize("command", ["detect", "count-params"])
def test_results_that_do_not_fit_on_the_disk_are_one_line(command: str, photos: Path, weights: Path) -> None:
    sources = [str(photos), "--jsonl", "--quiet"] if command == "detect" else []
    arguments = [sys.executable, "-m", "ffcli", command, *sources]
    arguments += ["--model" if command == "detect" else "--weights", str(weights)]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(arguments, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 3
    assert done.stderr.decode() == (
        "featherface: the results cannot be written, the disk is full; free some space\n"
    )


@ON_LINUX
def test_closed_streams_are_no_defect(photos: Path, weights: Path) -> None:
    call = f'"{sys.executable}" -m ffcli detect - "{photos}" --model "{weights}"'
    done = subprocess.run(["bash", "-c", f"{call} <&- >&- 2>&-"], cwd=ROOT, check=False)
    assert done.returncode == 0


def test_a_broken_video_is_one_line_also_without_pyav(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "av.py").write_text("raise ImportError")
    (tmp_path / "film.mp4").write_bytes(b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(500))
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = program("detect", tmp_path / "film.mp4", "-q", "--model", weights, PYTHONPATH=path)
    assert done.returncode == 3
    assert done.stderr.decode().count("\n") == 1
