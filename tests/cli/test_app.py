from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

import ffcli.app
from ffcli.app import app, run
from ffcli.exit_codes import EXIT_CODES, exit_code
from ffcore import errors
from ffcore._version import __version__
from tests.cli.conftest import PHOTOS
from tests.evaluation.mat_files import write_ground_truth
from tests.jobs.in_process import plan_of, run_here
from tests.training.toy_data import write_photos

COMMANDS = [command.name or "" for command in app.registered_commands]


def test_the_help_lists_every_command_and_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert all(command in text for command in COMMANDS)
    for code, meaning in EXIT_CODES.items():
        assert f"{code} {meaning}" in text


def test_without_arguments_the_help_is_shown_and_the_usage_is_wrong(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run([]) == 2
    assert "Usage: featherface" in capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_documents_its_exit_codes(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([command, "--help"]) == 0
    assert "Exit codes: 0 done" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_the_example_in_the_help_of_a_command_works(
    command: str,
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run([command, "--help"])
    text = " ".join(capsys.readouterr().out.split())
    match = re.search(r"Example: (featherface .+?) (?:Arguments|Options|Usage)", text)
    assert match, text
    shutil.copy(PHOTOS / "astronaut.jpg", tmp_path / "photo.jpg")
    shutil.copy(weights, tmp_path / "v1.safetensors")
    write_ground_truth(tmp_path / "gt", {"0--Event": {"photo": [(1, 1, 8, 8)]}})
    (tmp_path / "pred" / "0--Event").mkdir(parents=True)
    (tmp_path / "pred" / "0--Event" / "photo.txt").write_text("photo\n1\n1 1 8 8 0.9\n", encoding="utf-8")
    (tmp_path / "list.txt").write_text("0--Event/photo\n", encoding="utf-8")
    write_photos(tmp_path / "faces", 6)
    run_here(plan_of([tmp_path / "photo.jpg"]), tmp_path / "table")
    monkeypatch.chdir(tmp_path)
    program, *arguments = shlex.split(match[1])
    assert program == "featherface"
    assert run(arguments) == 0


def test_the_version_comes_with_the_environment(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"featherface {__version__} (Python 3.")
    assert "onnxruntime" in printed


def test_other_builds_of_a_package_are_found_under_their_own_names(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import PackageNotFoundError

    from ffcli import environment

    installed = {"onnxruntime-gpu": "1.30", "opencv-python": "4.9", "opencv-python-headless": "5.0"}

    def version(name: str) -> str:
        if name not in installed:
            raise PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(environment, "version", version)
    line = environment.environment()
    assert "onnxruntime-gpu 1.30" in line
    assert "no onnxruntime" not in line
    assert "opencv-python-headless 5.0 and opencv-python 4.9" in line
    assert "no torch," in line
    assert " cores, " in line


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("featherface de", "detect"),
        ("featherface export --fo", "--format"),
        ("featherface --ver", "--version"),
    ],
)
def test_a_shell_completes_commands_and_options(words: str, wanted: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ffcli"],
        env={
            **os.environ,
            "_FEATHERFACE_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(words.count(" ")),
        },
        capture_output=True,
        text=True,
    )
    assert wanted in done.stdout.split()


def test_the_script_of_a_shell_is_printed() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ffcli", "--show-completion", "bash"], capture_output=True, text=True
    )
    assert "_FEATHERFACE_COMPLETE" in done.stdout, done.stderr


def test_an_unknown_command_names_the_near_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["detct"]) == 2
    error = capsys.readouterr().err
    assert "detct" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["detect", "a.jpg", "--anonymize", "blurr"],
            "'blurr' is not one of 'blur', 'pixelate', 'solid'. Try: ",
        ),
        (["detect", "a.jpg", "--threads", "0"], r"1\S*\. Try: "),
        (
            ["detect", "a.jpg", "--modle", "v2"],
            r"No such option: --modle .*--model.*\) Try: |--model\? Try: ",
        ),
        (["detect"], r"Missing argument .*\. Try: featherface detect --help"),
    ],
)
def test_wrong_usage_is_a_sentence_and_where_to_look(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "Value error" not in error
    assert re.search(message, error), error


FAMILY = [
    (errors.ConfigError("x"), 2),
    (errors.MissingDependencyError("x"), 2),
    (errors.InputError("x"), 3),
    (errors.ImageError("photo.jpg", "x"), 3),
    (errors.ModelError("x"), 4),
    (errors.UnknownModelError("x"), 4),
    (errors.CheckpointError("v1.pth", "x"), 4),
    (errors.ExportError("x"), 5),
]


@pytest.mark.parametrize(("error", "code"), FAMILY, ids=lambda value: type(value).__name__)
def test_every_error_of_the_family_has_its_exit_code(error: errors.FeatherFaceError, code: int) -> None:
    assert exit_code(error) == code


def raising(error: BaseException) -> typer.Typer:
    program = typer.Typer(pretty_exceptions_enable=False)

    @program.command()
    def fail() -> None:
        raise error

    return program


def test_a_defect_is_one_line_and_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("FEATHERFACE_DEBUG", raising=False)
    monkeypatch.setattr(ffcli.app, "app", raising(ZeroDivisionError("by zero\nand more")))
    assert run([]) == 1
    error = capsys.readouterr().err
    assert "internal error, ZeroDivisionError: by zero" in error
    assert error.count("\n") == 1


def test_a_defect_shows_its_traceback_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATHERFACE_DEBUG", "1")
    monkeypatch.setattr(ffcli.app, "app", raising(ZeroDivisionError("by zero")))
    with pytest.raises(ZeroDivisionError):
        run([])


def test_ctrl_c_is_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(ffcli.app, "app", raising(KeyboardInterrupt()))
    assert run([]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_a_missing_torch_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "torch" else real(name, *rest)
    )
    assert run(["count-params", "--model", "v2"]) == 2
    assert 'pip install "featherface[train]"' in capsys.readouterr().err
