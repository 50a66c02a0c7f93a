from __future__ import annotations

from pathlib import Path

import pytest

from ffcore.benchmark import plot_benchmark
from ffcore.errors import ConfigError, InputError
from ffcore.images import read_image
from tests.benchmark.results import measured, result

WITH_AP = measured("v2.onnx", 20.0, ap={"easy": 0.9, "hard": 0.7}, protocol="original")
WITHOUT = measured("peer.onnx", 50.0)


def test_files_without_ap_are_left_out(tmp_path: Path) -> None:
    plot_benchmark(tmp_path / "a.svg", result(WITHOUT, WITH_AP))
    drawn = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert "<!-- v2.onnx -->" in drawn
    assert "<!-- 90.0 -->" in drawn
    assert "peer.onnx" not in drawn


def test_different_protocols_are_said_to_be_different(tmp_path: Path) -> None:
    other = measured("v1.onnx", 40.0, ap={"easy": 0.95}, protocol="vga")
    plot_benchmark(tmp_path / "one.svg", result(WITH_AP))
    plot_benchmark(tmp_path / "two.svg", result(WITH_AP, other))
    assert "DIFFERENT PROTOCOLS" not in (tmp_path / "one.svg").read_text(encoding="utf-8")
    assert "DIFFERENT PROTOCOLS" in (tmp_path / "two.svg").read_text(encoding="utf-8")


def test_the_picture_is_one(tmp_path: Path) -> None:
    assert read_image(plot_benchmark(tmp_path / "a.png", result(WITH_AP))).std() > 1


def test_without_any_ap_nothing_is_drawn(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file states its AP"):
        plot_benchmark(tmp_path / "a.png", result(WITHOUT))
    assert not list(tmp_path.iterdir())


def test_a_suffix_of_no_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\.png, \.pdf, \.svg"):
        plot_benchmark(tmp_path / "a.txt", result(WITH_AP))
