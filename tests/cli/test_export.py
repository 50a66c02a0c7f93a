from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import onnxruntime
import pytest

from ffcli.app import run
from ffcli.export_table import print_export
from ffcore.detection import FaceDetector
from ffcore.export.int8 import LayerGroup
from ffcore.export.job import Exported
from ffcore.export.parity import EXACT, Case, Difference
from ffcore.export.quantised import Accuracy, Quantised, Speed
from ffcore.models.blocks.pooling import ZeroPaddedMaxPool
from ffcore.models.variants import VARIANTS
from ffcore.models.weights import load_network, save_network
from tests.cli.conftest import PHOTOS
from tests.export.test_job import changed_by_export
from tests.export.web.packages import FILES
from tests.models.random_weights import random_network


def test_a_static_onnx_file_is_written_with_its_parity(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "v2.onnx"
    assert run(["export", "-m", str(weights), "-o", str(out), "--static", "64x96"]) == 0
    printed = capsys.readouterr().out
    assert "v2 as onnx" in printed
    assert "64×96" in printed
    assert "allowed" in printed
    assert FaceDetector.load(out).backend.input_size == (64, 96)


def test_json_tells_the_same(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["export", "-m", str(weights), "-o", str(tmp_path / "v2.onnx"), "--static", "64", "--json"]
    assert run(arguments) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["bytes"] == (tmp_path / "v2.onnx").stat().st_size
    assert len(told["parity"]) == 3
    assert all(row["boxes"] <= told["tolerance"]["boxes"] for row in told["parity"])


def test_an_end_to_end_graph_is_written_and_compared(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "whole.onnx"
    arguments = ["export", "-m", str(weights), "-o", str(out), "--static", "64x96", "--end-to-end"]
    assert run([*arguments, "--score", "0.4", "--max-faces", "20"]) == 0
    printed = capsys.readouterr().out
    assert "faces as the library finds them" in printed
    last = printed.splitlines()[-1]
    assert last == "inside: score above 0.4, NMS above an IoU of 0.4, at most 20 faces"
    session = onnxruntime.InferenceSession(out)
    assert session.get_inputs()[0].shape == [64, 96, 3]
    known = session.get_modelmeta().custom_metadata_map
    assert known["featherface.score_threshold"] == "0.4"
    assert known["featherface.max_faces"] == "20"
    assert list(tmp_path.iterdir()) == [out]


def test_an_end_to_end_graph_of_the_shipped_weights_holds_the_threshold_of_detect(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "faces.onnx"
    arguments = ["export", "-m", "v2", "-o", str(out), "--static", "64x96", "--end-to-end", "--json"]
    assert run(arguments) == 0
    options = FaceDetector.load("v2", device="cpu").options
    told = json.loads(capsys.readouterr().out)["end_to_end"]
    assert told == {"score": options.score, "nms": options.nms, "candidates": 5000, "max_faces": 750}
    known = onnxruntime.InferenceSession(out).get_modelmeta().custom_metadata_map
    assert known["featherface.score_threshold"] == str(options.score)


def test_tensors_are_written_under_published_names(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "v2.pth")
    assert run(["export", "-m", str(weights), "-o", out, "--layout", "published"]) == 0
    assert "equals its source" in capsys.readouterr().out


def test_a_float16_graph_is_compared_on_photos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "half.onnx"
    arguments = ["export", "-m", "v2", "-o", str(out), "--static", "320", "--fp16", "--half-io"]
    assert run([*arguments, "--calibrate", str(PHOTOS)]) == 0
    assert "faces on 4 photos: scores within" in capsys.readouterr().out
    assert onnxruntime.InferenceSession(out).get_inputs()[0].type == "tensor(float16)"


def test_a_pruned_network_is_counted_before_and_after(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "small.safetensors"
    assert run(["export", "-m", str(weights), "-o", str(out), "--prune", "0.5"]) == 0
    printed = capsys.readouterr().out
    assert "pruned: 256,156 to" in printed
    assert "width 32 to 16" in printed
    assert 'model.settings=["out_channel=16"]' in printed
    assert load_network(out).config.out_channel == 16


def test_what_int8_loses_and_gains_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    found = Quantised(
        groups=(
            LayerGroup("neck pointwise", ("a", "b"), 0.4, 0.1, True),
            LayerGroup("context pointwise", ("d",), 0.5, 2.0),
            LayerGroup("stem", ("c",), 0.1),
        ),
        accuracy=Accuracy({"easy": 0.9}, {"easy": 0.8934}, truth="gt, protocol original", photos=200),
        speed=Speed(10.0, 5.0, (640, 640), threads=1, cpu="a CPU", load=0.5),
        bytes_before=1_000_000,
        photos=4,
    )
    difference = Difference(Case(1, 64, 64), 1e-5, 1e-6, 1e-5)
    print_export(Exported(Path("x.onnx"), "onnx", "v2", 400_000, (difference,), EXACT, quantised=found))
    lines = capsys.readouterr().out.splitlines()
    words = {" ".join(line.split()) for line in lines}
    assert {
        "neck pointwise 2 40.0 0.10 int8",
        "context pointwise 1 50.0 2.00 float32",
        "stem 1 10.0 float32",
        "expected of those in int8 0.10",
    } <= words
    assert {"AP easy 90.00 89.34 -0.66", "ms at 640×640 10.00 5.00 × 0.50", "MB 1.00 0.40"} <= words
    assert max(map(len, lines)) <= 80
    assert "4 photos are few to calibrate on" in " ".join(lines)
    print_export(
        Exported(Path("x.onnx"), "onnx", "v2", 1, (difference,), EXACT, quantised=replace(found, photos=20))
    )
    assert "are few" not in capsys.readouterr().out


def test_a_package_is_made_from_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = []

    def package(source: str, folder: Path) -> Exported:
        made.append((source, folder))
        return Exported(folder / "model.onnx", "onnx", "v2", 1, (), EXACT)

    monkeypatch.setattr("ffcore.export.package.export_package", package)
    assert run(["export", "-m", "v2", "--package", str(tmp_path / "new")]) == 0
    assert made == [("v2", tmp_path / "new")]
    assert "model.onnx: v2 as onnx" in capsys.readouterr().out.replace("\n", "")


def test_an_export_that_computes_something_else_leaves_with_5_and_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_network(random_network(VARIANTS["v1"]), tmp_path / "v1.pth")
    monkeypatch.setattr(ZeroPaddedMaxPool, "forward", changed_by_export)
    out = tmp_path / "v1.onnx"
    assert run(["export", "-m", str(tmp_path / "v1.pth"), "-o", str(out), "--static", "96x128"]) == 5
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "differs from torch" in error
    assert not out.exists()


def test_a_web_page_is_written_with_what_a_first_visit_transfers(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    unpacked = tmp_path / "runtime"
    for name, content in FILES.items():
        (unpacked / name).parent.mkdir(parents=True, exist_ok=True)
        (unpacked / name).write_bytes(content)
    monkeypatch.setattr("ffcore.export.job.cases", lambda _: (Case(1, 64, 96),))
    out = tmp_path / "site"
    arguments = ["export", "-m", str(weights), "-o", str(out), "--format", "web", "--runtime", str(unpacked)]
    assert run([*arguments, "--score", "0.6"]) == 0
    printed = capsys.readouterr().out
    assert "64×96" in printed
    assert "a first visit transfers 1." in " ".join(printed.split())
    assert json.loads((out / "settings.json").read_text())["score"] == 0.6


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["-m", "v3", "-o", "x.onnx"], 4, "neither a file nor the name"),
        (["-m", "missing.pth", "-o", "x.onnx"], 4, "there is no such file"),
        (["-m", "v2", "-o", "x.bin"], 2, "tells no format"),
        (["-m", "v2", "-o", "x.onnx", "--score", "0.4"], 2, "are for --end-to-end"),
        (["-m", "v2", "-o", "x.pt2", "--end-to-end"], 2, "only onnx files do"),
        (["-m", "v2"], 2, "either --out for a file or --package"),
        (["-m", "v2", "-o", "x.onnx", "--package", "x"], 2, "either --out for a file or --package"),
        (["-m", "v2", "--package", "x", "--static", "64"], 2, "leave out the other options"),
        (["-m", "v2", "-o", "x.onnx", "--fp16"], 2, "give --calibrate DIR"),
        (["-m", "v2", "-o", "x.onnx", "--int8"], 2, "give --calibrate DIR"),
        (["-m", "v2", "-o", "x.onnx", "--fp16", "--int8"], 2, "exclude each other"),
        (["-m", "v2", "-o", "x.onnx", "--half-io"], 2, "is for --fp16"),
        (["-m", "v2", "-o", "x.onnx", "--calibrate", "."], 2, "is for --fp16 and --int8"),
        (["-m", "v2", "-o", "x.onnx", "--data", "."], 2, "are for --int8"),
        (["-m", "v2", "-o", "x.onnx", "--int8", "--calibrate", ".", "--data", "."], 2, "belong together"),
        (["-m", "v2", "-o", "x.onnx", "--prune", "0.5"], 2, "must be trained first"),
        (["-m", "v2", "-o", "x.pth", "--prune", "0.2"], 2, "permits the ratios 0.5"),
        (["-m", "v2", "-o", "x.onnx", "--static", "tall"], 2, "is no size"),
        (["-m", "v2", "-o", "x.onnx", "--format", "tflite"], 2, "tflite"),
        (["-m", "v2", "-o", "x.onnx", "--runtime", "x.tgz"], 2, "is for --format web"),
        (
            ["-m", "v2", "-o", "x", "--format", "web", "--static", "64"],
            2,
            "a web page holds the network",
        ),
        (["-m", "v2", "-o", "x", "--format", "web", "--runtime", "x.tgz"], 3, "x.tgz: cannot be read"),
    ],
)
def test_what_cannot_be_is_one_line_and_a_code(
    arguments: list[str],
    code: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["export", *arguments]) == code
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
