from __future__ import annotations

import json
from pathlib import Path

import pytest

from ffcli.app import run
from ffcore.models.featherface import build_network
from ffcore.models.variants import VARIANTS
from ffcore.models.weights import save_network


def test_the_exact_counts_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["count-params", "--model", "v1", "--model", "v2"]) == 0
    printed = capsys.readouterr().out
    assert "489,015" in printed
    assert "256,156" in printed
    assert "-47.6 %" in printed


def test_json_holds_components_macs_and_the_convention(capsys: pytest.CaptureFixture[str]) -> None:
    names = [argument for name in VARIANTS for argument in ("-m", name)]
    assert run(["count-params", *names, "--json", "--size", "320x480", "--depth", "1"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [entry["total"]["parameters"] for entry in found] == [592_371, 489_015, 256_156, 493_095]
    assert found[0]["size"] == [320, 480]
    assert "deformable sampling" in found[0]["macs_convention"]
    assert found[2]["modules"]["heads"]["parameters"] == 3 * 1056


def test_settings_change_the_network(capsys: pytest.CaptureFixture[str]) -> None:
    settings = ["--set", "out_channel=24", "--set", "bifpn_repeats=3", "--set", "backbone_attention=cbam"]
    assert run(["count-params", "--model", "v1", *settings]) == 0
    assert "321,041" in capsys.readouterr().out


def test_a_checkpoint_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_network(build_network(VARIANTS["v2-ca"]), tmp_path / "mine.safetensors")
    assert run(["count-params", "--weights", str(tmp_path / "mine.safetensors")]) == 0
    printed = capsys.readouterr().out
    assert "493,095" in printed
    assert "mine.safetensors (v2-ca)" in printed


@pytest.mark.parametrize(("limit", "code"), [("256156", 0), ("256155", 3)])
def test_too_many_parameters_fail_a_build(limit: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["count-params", "--model", "v2", "--max-params", limit]) == code
    assert ("256,156 parameters are more than" in capsys.readouterr().err) == bool(code)


def test_time_is_measured_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["count-params", "--model", "v2", "--size", "64", "--time", "2"]) == 0
    assert "ms for one image on the CPU with" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--model", "v3"], 4, "is not a network"),
        ([], 2, "name at least one network"),
        (["--model", "v1", "--set", "out_channel=25"], 2, "multiple of 4"),
        (["--model", "v1", "--size", "big"], 2, "is no size"),
        (["--weights", "nothing.pth"], 4, "no such file"),
        (["--weights", "pyproject.toml"], 4, "a text file"),
    ],
)
def test_mistakes_are_one_line_with_their_exit_code(
    arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["count-params", *arguments]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.startswith("featherface: ")
    assert captured.err.count("\n") == 1
