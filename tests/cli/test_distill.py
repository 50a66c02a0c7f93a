from __future__ import annotations

import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from ffcli.app import run
from ffcli.training.lines import Lines
from ffcli.training.picture import Picture, draw
from ffcli.training.state import TrainingState
from ffcore.distillation.job import TeacherScored
from ffcore.events import Event
from ffcore.export.onnx_graph import export_onnx
from ffcore.images import write_image
from ffcore.models.featherface import build_network
from ffcore.models.variants import VARIANTS
from ffcore.models.weights import read_checkpoint, save_network
from ffcore.training.events import EpochStarted, RunStarted, StepDone, Validated
from ffcore.training.run_folder import RunFolder
from ffcore.training.trainer import StepReport
from tests.cli.conftest import Refused
from tests.models.random_weights import random_network
from tests.training.toy_data import write_photos

SMALL = ["--size", 64, "--batch-size", 3, "--workers", 0, "--set", "validation.size=64", "--epochs", 1]
PARTS = {"classification", "box", "landmark"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("data"), 4)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A v1 that has learnt nothing, but whose statistics are those of one that has seen images."""
    path = tmp_path_factory.mktemp("teacher") / "v1.safetensors"
    save_network(random_network(VARIANTS["v1"]), path)
    return path


def distill(*arguments: object) -> int:
    return run(["distill", *map(str, arguments)])


def test_a_student_is_distilled_shown_and_described(
    data: Path, teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, more = tmp_path / "run", tmp_path / "more"
    shutil.copytree(data / "images" / "event", more)
    options = ["--alpha-schedule", "dynamic", "--unlabelled", more, "--holdout", 0.25, "--out", out]
    assert distill("--teacher", teacher, "--data", data, *SMALL, *options, "--json") == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert result["ending"] == "finished"
    assert result["steps"] == 2  # three photos with labels and four without, in batches of three
    assert result["teacher"]["name"] == "v1"
    assert set(result["best"]["loss"]) == {
        "total",
        "task",
        "distill",
        "feature",
        *PARTS,
        *(f"distill_{name}" for name in PARTS),
    }
    lines = captured.err.splitlines()
    assert lines[0].startswith("teacher v1 on the same photos: AP height>=")
    assert lines[1].startswith("v2, 256,156 parameters, on cpu, 7 photos, 1 held back; ")
    mean = next(line for line in lines if "mean of 2 steps" in line)
    assert re.search(r"feature \S+ total \S+ alpha 0\.8000 agreement [01]\.\d+,", mean)
    assert {path.name for path in (out / "plots").iterdir()} == {
        "losses.png",
        "measures.png",
        "gradient_norm.png",
        "rate.png",
        "validation.png",
    }
    facts = read_checkpoint(result["weights"]).facts
    assert facts["teacher"] == "v1 (v1.safetensors)"

    both = tmp_path / "both"
    options = ["--holdout", 0.25, "--out", both, "--feature-weight", 0]
    assert distill("-t", teacher, "-t", result["weights"], "--data", data, *SMALL, *options, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["teacher"]["name"] == "v1 + v2"
    facts = read_checkpoint(result["weights"]).facts
    assert facts["teacher"] == "v1 (v1.safetensors), v2 (best.safetensors)"
    assert len(set(facts["teacher_sha256"].split(", "))) == 2

    assert distill("--resume", out, "--epochs", 2, "--temperature", 2.0) == 2
    error = capsys.readouterr().err
    assert "--epochs (train.epochs is 1)" in error
    assert "--temperature (distillation.temperature is 4.0)" in error
    assert error.count("\n") == 1
    assert run(["train", "--resume", str(out)]) == 2
    assert f"was begun by distill; go on with: featherface distill --resume {out}" in capsys.readouterr().err
    before = read_checkpoint(out / "last.safetensors").tensors
    assert distill("--resume", out, "--quiet") == 0  # it is at its end: nothing is left to do
    assert "finished after 2 steps" in capsys.readouterr().out
    after = read_checkpoint(out / "last.safetensors").tensors
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_settings_are_printed_with_their_origins(
    data: Path, teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[distillation]\nnormalize = "focal"\ntemperature = 3.0\n', encoding="utf-8")
    flags = {
        "--teacher": (teacher, "teacher.weights", [str(teacher)]),
        "--teacher-runtime": ("torch", "teacher.runtime", "torch"),
        "--student": ("v2-ca", "model.name", "v2-ca"),
        "--init-backbone": ("none", "model.backbone", "none"),
        "--alpha-schedule": ("cosine", "distillation.alpha.kind", "cosine"),
        "--alpha-start": (0.9, "distillation.alpha.start", 0.9),
        "--alpha-end": (0.2, "distillation.alpha.end", 0.2),
        "--temperature": (2, "distillation.temperature", 2.0),
        "--feature-weight": (0.5, "distillation.feature_weight", 0.5),
        "--feature-norm": ("normalized", "distillation.feature_norm", "normalized"),
        "--teacher-ignore": (0, "distillation.teacher_ignore", 0.0),
        "--distill-from-epoch": (3, "distillation.start_epoch", 3),
    }
    typed = [word for flag, (value, _, _) in flags.items() for word in (flag, value)]
    folders = ["--unlabelled", "a", "--unlabelled", "b"]
    assert distill("--data", data, "--config", file, *typed, *folders, "--dry-run", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    settings, origins = document["settings"], document["origins"]
    for flag, (_, name, wanted) in flags.items():
        assert settings[name] == wanted, flag
        assert origins[name] == flag
    assert settings["data.unlabelled"] == ["a", "b"]
    assert (settings["distillation.normalize"], origins["distillation.normalize"]) == ("focal", "mine.toml")
    assert origins["train.rate"] == "preset v2-ca"
    assert (settings["distillation.alpha.epochs"], settings["train.epochs"]) == (250, 250)

    assert distill("--kd-normalize", "foreground", "--dry-run") == 0
    printed = capsys.readouterr().out
    assert re.search(r'^normalize = "foreground" +# --kd-normalize$', printed, flags=re.MULTILINE)
    assert re.search(r'^backbone = "teacher" +# default$', printed, flags=re.MULTILINE)
    assert re.search(r'^name = "v2" +# preset v2$', printed, flags=re.MULTILINE)


def test_data_are_checked_and_drawn_without_a_teacher(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = data / "images" / "event"
    assert distill("--data", data, "--unlabelled", more, "--check") == 0
    printed = capsys.readouterr().out
    assert "4 photos can be used, 3 to learn from, 1 held back" in printed
    assert "3 photos without labels besides" in printed  # the one held back is not met again
    assert distill("--data", data, *SMALL, "--preview", tmp_path / "seen") == 0
    assert len(list((tmp_path / "seen").glob("0*.png"))) == 3


def write_untrained(path: Path) -> None:
    save_network(build_network(VARIANTS["v1"]), path.with_suffix(".safetensors"))


def write_exported(path: Path) -> None:
    export_onnx(random_network(VARIANTS["v2"]), path)


def write_picture(path: Path) -> None:
    write_image(path, np.zeros((8, 8, 3), np.uint8))


def write_somebody_else_s(path: Path) -> None:
    torch.save({"conv.weight": torch.zeros(3), "conv.bias": torch.zeros(3)}, path)


@pytest.mark.parametrize(
    ("file", "write", "message"),
    [
        ("nowhere.pth", None, "nowhere.pth"),
        ("fresh.safetensors", write_untrained, "the teacher v1 is not trained"),
        ("face.png", write_picture, "face.png"),
        ("v2.onnx", write_exported, "v2.onnx"),
        ("peer.pth", write_somebody_else_s, "holds another network than FeatherFace"),
    ],
)
def test_what_cannot_teach_is_one_line_and_leaves_no_folder(
    file: str,
    write: object,
    message: str,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    if callable(write):
        write(tmp_path / file)
    assert distill("--teacher", file, "--data", data, *SMALL) == 4
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert not list(tmp_path.glob("runs/*"))


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ["--teacher", "v1.pth", "--alpha-schedule", "dynamic"],
            2,
            "no data is named: type the same with --data",
        ),
        (["--data", "DATA"], 2, "no teacher is named: type the same with --teacher FILE"),
        (["--student", "v2-cb"], 4, "did you mean 'v2-ca'"),
        (["--alpha-schedule", "dynamical"], 2, "did you mean 'dynamic'"),
        (["--kd-normalize", "al"], 2, "did you mean 'all'"),
        (["--temperature", "0"], 2, "--temperature: "),
        (["--teacher-ignore", "60"], 2, "--teacher-ignore: "),
        (["--alpha-schedule", "constant", "--alpha-start", "0.3"], 2, "distillation.alpha.constant"),
        (["--teacher-runtime", "onnxruntime"], 2, "--feature-weight 0"),
        (["--unlabelled", "nowhere", "--data", "DATA", "--check"], 3, "nowhere: is no folder"),
        (["--resume", "nowhere"], 3, "nowhere"),
    ],
)
def test_mistakes_are_one_line_that_says_what_to_type(
    arguments: list[str],
    code: int,
    message: str,
    data: Path,
    refused: Refused,
) -> None:
    refused(["distill", *(data if word == "DATA" else word for word in arguments)], code, message)


def test_every_option_of_train_but_the_network_s_name_is_an_option_of_distill() -> None:
    import typer

    from ffcli.app import app

    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    options = {
        name: {option for parameter in commands[name].params for option in parameter.opts}
        for name in ("train", "distill")
    }
    assert options["train"] - options["distill"] == {"--model", "-m"}


def a_distillation() -> list[Event]:
    """Two steps and a validation."""
    terms = dict.fromkeys(("box", "classification", "landmark", "task"), 2.0)
    terms |= dict.fromkeys((f"distill_{name}" for name in PARTS), 1.0)
    terms |= {"distill": 3.0, "feature": 0.25, "total": 2.825}
    aps = {"height>=50": 0.91, "height>=10": 0.7}
    started = RunStarted(Path("runs/v2-1"), "v2", 256_156, "cpu", 1, 100, 5, 10, 2, 0)
    measures = {"alpha": 0.8, "agreement": 0.625}
    reports = [StepReport(n, terms, measures, 2.0, 1e-3, (), ("a.jpg",)) for n in range(2)]
    return [
        TeacherScored("v1", aps),
        started,
        EpochStarted(0, {"alpha": 0.8}),
        *(StepDone(report, 0, report.step, 9.0, 60.0, None) for report in reports),
        Validated(0, terms, {"height>=50": 0.5, "height>=10": 0.2}, True, 1.0),
    ]


def drawn(state: TrainingState, **options: bool) -> list[str]:
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    console.print(draw(state, width=80, **options))
    return [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]


def test_the_picture_shows_alpha_and_agreement_beside_the_losses_and_the_teacher_above_the_student() -> None:
    state = TrainingState()
    for event in a_distillation():
        state.on_event(event)
    lines = drawn(state)
    first = next(i for i, line in enumerate(lines) if line.startswith("loss"))
    names = [re.split(r"\s{2,}(?=[\d–])", line)[0] for line in lines[first + 1 : first + 14]]
    assert names[:6] == ["total", "task", "  box", "  classification", "  landmark", "distill"]
    assert set(names[6:9]) == {f"  {name}" for name in PARTS}
    assert names[9:12] == ["feature", "alpha", "agreement"]
    assert "0.6250" in lines[first + 12]
    best = next(i for i, line in enumerate(lines) if line.startswith("best, epoch 1"))
    assert lines[best - 2].split() == ["teacher", "v1", "91.00", "70.00"]
    assert lines[best].split()[-2:] == ["50.00", "20.00"]
    low = drawn(state, compact=True)
    assert len(low) <= 24
    assert not any(line.startswith("  ") for line in low if "box" in line)
    assert "feature" in "\n".join(low)


def test_a_low_terminal_gets_a_picture_that_fits() -> None:
    console = Console(file=io.StringIO(), width=80, height=24, force_terminal=True, color_system=None)
    with Picture(console) as picture:
        for event in a_distillation():
            picture.on_event(event)
    text = console.file.getvalue().rpartition("v2, 256,156")[2]  # type: ignore[attr-defined]
    assert "best, epoch 1" in text
    assert "classification" not in text


def test_plain_lines_begin_with_the_teacher(capsys: pytest.CaptureFixture[str]) -> None:
    with Lines(clock=lambda: 0.0) as lines:
        for event in a_distillation():
            lines.on_event(event)
    written = capsys.readouterr().err.splitlines()
    assert written[0] == "teacher v1 on the same photos: AP height>=50 91.00, AP height>=10 70.00"
    assert written[-1].startswith("epoch 1/10, mean of 2 steps: ")
    assert "alpha 0.8000 agreement 0.6250" in written[-1]


def test_a_distillation_that_goes_on_recalls_measures_apart_from_terms(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.record("step", 0, {"epoch": 0, "total": 3.0, "task": 2.0, "alpha": 0.8, "agreement": 0.5})
    folder.close()
    state = TrainingState()
    state.on_event(RunStarted(tmp_path, "v2", 256_156, "cpu", 1, 100, 5, 10, 2, 1))
    assert set(state.terms) == {"total", "task"}
    assert {name: each.now for name, each in state.measures.items()} == {"alpha": 0.8, "agreement": 0.5}
