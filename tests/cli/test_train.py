from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from ffcli.app import run
from ffcore.images import read_image
from ffcore.images.draw import BOX_COLOUR
from ffcore.training.run_config import resolve_run
from ffcore.training.run_folder import RunFolder
from tests.cli.conftest import Refused
from tests.training.toy_data import write_photos

ROOT = Path(__file__).parent.parent.parent
SMALL = [
    "--model",
    "v2",
    "--size",
    "64",
    "--batch-size",
    "2",
    "--workers",
    "0",
    "--set",
    "validation.size=64",
]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "faces", 6)


def train(*arguments: object) -> int:
    return run(["train", *map(str, arguments)])


def program(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "ffcli", "train", *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def losses(folder: Path) -> list[tuple[int, float]]:
    return [
        (each["step"], each["total"]) for each in RunFolder(folder).read_record() if each["kind"] == "step"
    ]


def test_a_run_leaves_weights_that_detect_and_tells_the_next_commands(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert train("--data", data, *SMALL, "--epochs", 2, "--holdout", 0.3, "--out", out) == 0
    captured = capsys.readouterr()
    best = out / "best.safetensors"
    assert "finished after 4 steps" in captured.out
    assert f"next: featherface detect photo.jpg --model {best}" in captured.out
    assert captured.err.startswith("v2, 256,156 parameters, on cpu, 4 photos, 2 held back; ")
    assert captured.err.count("validation after epoch") == 2
    assert {path.name for path in (out / "plots").iterdir()} == {
        "losses.png",
        "gradient_norm.png",
        "rate.png",
        "validation.png",
    }
    assert list((out / "tensorboard").iterdir())
    assert [step for step, _ in losses(out)] == [0, 1, 2, 3]
    assert run(["detect", str(data / "images"), "--model", str(best), "--score", "0.99", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 6


def test_nobody_s_folder_is_used_again(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine", encoding="utf-8")
    assert train("--data", data, *SMALL, "--out", tmp_path / "mine") == 3
    assert "holds something already" in capsys.readouterr().err
    monkeypatch.chdir(tmp_path)
    for number in (1, 2):
        assert train("--data", data, *SMALL, "--epochs", 1, "--holdout", 0, "--quiet", "--json") == 0
        assert json.loads(capsys.readouterr().out)["folder"] == f"runs/v2-{number}"
    assert train("--data", tmp_path / "nowhere", *SMALL) == 3
    assert sorted(path.name for path in Path("runs").iterdir()) == ["v2-1", "v2-2"]


def test_the_result_is_json_on_stdout_alone(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    options = ["--holdout", 0.3, "--out", out, "--no-tensorboard", "--quiet", "--json"]
    assert train("--data", data, *SMALL, "--epochs", 1, *options) == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert result["ending"] == "finished"
    assert result["steps"] == 2
    assert set(result["best"]["loss"]) == {"total", "box", "classification", "landmark"}
    assert Path(result["weights"]).exists()
    assert not (out / "tensorboard").exists()
    assert captured.err == ""


def test_settings_are_printed_with_their_origins_and_can_be_used_as_a_file(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('seed = 5\n[train]\nepochs = 30\nrate = 2e-3\n[model]\nname = "v2"\n', encoding="utf-8")
    options = ["--data", data, "--config", file, "--epochs", 60, "--size", "64,96", "--amp"]
    assert train(*options, "--set", "loss.box_weight=3.0", "--set", "train.epochs=70", "--dry-run") == 0
    printed = capsys.readouterr().out
    origins = dict(re.findall(r"^(\w+) = .*?# (.+)$", printed, flags=re.MULTILINE))
    assert origins["epochs"] == "--set train.epochs"
    assert origins["rate"] == origins["seed"] == "mine.toml"
    assert origins["schedule"] == "preset v2"
    assert origins["sizes"] == "--size"
    assert origins["amp"] == "--amp"
    assert origins["clip"] == "default"
    document = tomllib.loads(printed)
    assert (document["train"]["epochs"], document["augment"]["sizes"]) == (70, [64, 96])

    (tmp_path / "again.toml").write_text(printed, encoding="utf-8")
    assert train("--config", tmp_path / "again.toml", "--preset", "none", "--dry-run", "--json") == 0
    again = json.loads(capsys.readouterr().out)
    assert again["settings"]["loss.box_weight"] == 3.0
    assert again["origins"]["train.epochs"] == "again.toml"
    assert not list(tmp_path.glob("runs"))


def test_the_data_report_names_defects_and_strict_makes_them_an_error(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("--data", data, "--check", "--strict") == 0
    assert "no defects" in capsys.readouterr().out
    with (data / "label.txt").open("a", encoding="utf-8") as labels:
        labels.write("# event/nowhere.png\n1 1 8 8\n")
    (data / "images" / "event" / "0.png").write_bytes(b"no image")
    assert train("--data", data, "--check") == 0
    printed = capsys.readouterr().out
    assert "5 photos can be used" in printed
    assert "missing image" in printed
    assert "corrupt image" in printed
    assert "event/0.png" in printed
    assert train("--data", data, "--check", "--strict") == 3
    captured = capsys.readouterr()
    assert "missing image" in captured.out
    assert "in all" in captured.err
    assert captured.err.count("\n") == 1
    assert train("--data", data, "--check", "--json") == 0
    assert json.loads(capsys.readouterr().out)["counts"] == {"corrupt_image": 1, "missing_image": 1}


def test_a_batch_is_drawn_as_the_network_sees_it(data: Path, tmp_path: Path) -> None:
    assert train("--data", data, *SMALL, "--size", 96, "--preview", tmp_path / "seen") == 0
    pictures = sorted((tmp_path / "seen").glob("0*.png"))
    assert len(pictures) == 2
    assert read_image(pictures[0]).shape == (96, 96, 3)
    sheet = read_image(tmp_path / "seen" / "contact_sheet.png")
    assert sheet.shape == (96, 196, 3)
    assert (sheet == BOX_COLOUR).all(axis=-1).any()


def test_ctrl_c_saves_and_the_run_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    data = write_photos(tmp_path / "faces", 12)
    common = ["--data", data, *SMALL, "--epochs", 7, "--holdout", 0, "--threads", 1]
    whole = program(*common, "--out", tmp_path / "whole", "--quiet")
    assert whole.wait(timeout=300) == 0

    torn = program(*common, "--out", tmp_path / "torn")
    record = tmp_path / "torn" / "metrics.jsonl"
    while torn.poll() is None and not (record.exists() and record.read_text("utf-8").count("\n") > 8):
        time.sleep(0.02)
    torn.send_signal(signal.SIGINT)
    printed, said = torn.communicate(timeout=300)
    assert torn.returncode == 130, said
    assert "finishing this step and saving; once more to leave at once" in said
    assert said.splitlines()[-1] == (
        f"featherface: interrupted; go on with: featherface train --resume {tmp_path / 'torn'}"
    )
    assert "interrupted after" in printed
    assert "\x1b" not in printed + said
    assert len(losses(tmp_path / "torn")) < 42

    again = program("--resume", tmp_path / "torn", "--threads", 1, "--json")
    printed, said = again.communicate(timeout=300)
    assert again.returncode == 0, said
    assert json.loads(printed)["steps"] == 42
    assert losses(tmp_path / "torn") == losses(tmp_path / "whole")


def test_a_run_goes_on_with_its_own_settings_only(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    common = ["--data", data, *SMALL, "--holdout", 0, "--quiet"]
    assert train(*common, "--epochs", 1, "--out", out) == 0
    capsys.readouterr()
    assert train("--resume", out, "--epochs", 3, "--set", "train.clip=2.0") == 2
    error = capsys.readouterr().err
    assert "--epochs (train.epochs is 1)" in error
    assert "--set (train.clip is 1.0)" in error
    assert error.count("\n") == 1
    assert train("--resume", out, "--out", tmp_path / "other") == 2
    assert train("--resume", tmp_path / "nowhere") == 3
    assert train(*common, "--epochs", 1, "--resume", out) == 0  # the same once more is no contradiction


def test_several_processes_share_a_new_folder_and_one_of_them_speaks(data: Path, tmp_path: Path) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    options = [*SMALL[:2], "--size", "64", "--batch-size", "1", "--workers", "0", "--threads", "1"]
    done = subprocess.run(
        [*torchrun, "-m", "ffcli", "train", "--data", str(data), *options, "--epochs", "1", "--holdout", "0"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("finished after 3 steps") == 1
    assert done.stderr.count("v2, 256,156 parameters, on 2 processes on cpu") == 1
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["v2-1"]
    assert len(losses(tmp_path / "runs" / "v2-1")) == 3


def test_a_divergence_shows_its_terms_above_its_line(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--epochs", 4, "--rate", 1e30, "--set", "train.clip=0", "--out", tmp_path / "run"]
    assert train("--data", data, *SMALL, "--holdout", 0, *options) == 4
    lines = capsys.readouterr().err.splitlines()
    assert "the training has diverged" in lines[-1]
    assert any(line.startswith("total\tnan") for line in lines[-6:-1])
    assert (tmp_path / "run" / "plots" / "losses.png").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--epochs", "1"], 2, "no data is named"),
        (["--data", "nowhere"], 3, "nowhere"),
        (["--model", "v2-cb"], 4, "did you mean 'v2-ca'"),
        (["--preset", "v1-best"], 2, "'v1-best' is not a preset"),
        (["--size", "big"], 2, "--size big: write one side"),
        (["--schedule", "cosin", "--model", "v2"], 2, "did you mean 'cosine'"),
        (["--epochs", "0"], 2, "--epochs"),
        (["--set", "train.epoch=3"], 2, "did you mean 'train.epochs'"),
        (["--config", "nowhere.toml"], 3, "nowhere.toml"),
        (["--on-nan", "ignore"], 2, "on_nan"),
        (["--init", "nothing.pth"], 4, "nothing.pth"),
        (["--device", "abacus"], 2, "abacus"),
    ],
)
def test_mistakes_are_one_line_with_their_exit_code(
    arguments: list[str],
    code: int,
    message: str,
    data: Path,
    refused: Refused,
) -> None:
    named = [] if arguments in (["--epochs", "1"], ["--data", "nowhere"]) else ["--data", data]
    refused(["train", *named, *arguments], code, message)


def test_every_flag_names_a_setting_that_exists() -> None:
    from ffcli.training.settings import FLAGS
    from ffcore.config.layers import flat
    from ffcore.distillation.run_config import DistillationRunConfig

    assert set(FLAGS.values()) <= set(flat(DistillationRunConfig()))
    alone = {flag: name for flag, name in FLAGS.items() if flag != "--student"}  # the --model of distill
    assert len(set(alone.values())) == len(alone)
    assert resolve_run([]).config.model.name == "v1"
