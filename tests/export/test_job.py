from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
import torch

from ffcore._version import __version__
from ffcore.errors import CheckpointError, ConfigError
from ffcore.export.job import export
from ffcore.export.options import EndToEndOptions, ExportOptions, Format, HalfOptions
from ffcore.export.parity import EXACT, Case, ParityError
from ffcore.export.torch_programs import FACTS_FILE
from ffcore.models.blocks.pooling import ZeroPaddedMaxPool
from ffcore.models.variants import VARIANTS
from ffcore.models.weights import read_checkpoint, save_network
from tests.models.random_weights import random_network

FEW = [Case(1, 64, 64), Case(3, 97, 131), Case(2, 33, 225, seed=1)]
FACTS = {"licence": "CC0", "score_threshold": "0.42"}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "source.safetensors"
    save_network(random_network(VARIANTS["v2"]), path, facts=FACTS)
    return path


@pytest.mark.parametrize("kind", ["onnx", "torchscript", "pt2"])
def test_a_program_is_compared_with_torch_and_carries_the_facts(
    kind: Format, weights: Path, tmp_path: Path
) -> None:
    path = tmp_path / f"net.{kind}"
    done = export(weights, path, options=ExportOptions(format=kind), compared_on=FEW)
    assert [found.case for found in done.differences] == FEW
    assert all(found.within(EXACT) for found in done.differences)
    assert done.size == path.stat().st_size
    if kind == "onnx":
        known = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    else:
        files = {FACTS_FILE: ""}
        if kind == "torchscript":
            torch.jit.load(path, _extra_files=files)
        else:
            torch.export.load(path, extra_files=files)
        known = json.loads(files[FACTS_FILE])
    assert known["featherface.licence"] == "CC0"
    assert known["featherface.score_threshold"] == "0.42"
    assert known["featherface.network"] == "v2"
    assert known["featherface.version"] == __version__


@pytest.mark.parametrize(
    ("facts", "given", "inside"),
    [
        ({"score_threshold": "0.42", "nms_threshold": "0.3"}, EndToEndOptions(), (0.42, 0.3)),
        ({"score_threshold": "0.42"}, EndToEndOptions(score=0.6, nms=0.35), (0.6, 0.35)),
        ({}, EndToEndOptions(), (0.5, 0.4)),  # nothing is recommended
    ],
)
def test_an_end_to_end_graph_holds_the_recommended_thresholds_unless_others_are_given(
    facts: dict[str, str], given: EndToEndOptions, inside: tuple[float, float], tmp_path: Path
) -> None:
    source, path = tmp_path / "source.safetensors", tmp_path / "whole.onnx"
    save_network(random_network(VARIANTS["v2"]), source, facts=facts)
    options = ExportOptions(end_to_end=given, size=(64, 64))
    done = export(source, path, options=options, compared_on=[Case(1, 64, 64)])
    assert done.end_to_end is not None
    assert (done.end_to_end.score, done.end_to_end.nms) == inside
    assert {found.score for found in done.faces} == {inside[0], 0.0}
    told = done.to_dict()["end_to_end"]
    assert told == {"score": inside[0], "nms": inside[1], "candidates": 5000, "max_faces": 750}
    known = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    stated = (known["featherface.score_threshold"], known["featherface.nms_threshold"])
    assert stated == tuple(map(str, inside))


def test_a_recommendation_that_cannot_be_read_is_the_fault_of_the_source(tmp_path: Path) -> None:
    source = tmp_path / "source.safetensors"
    save_network(random_network(VARIANTS["v2"]), source, facts={"score_threshold": "high"})
    with pytest.raises(CheckpointError, match="score_threshold"):
        export(source, tmp_path / "whole.onnx", options=ExportOptions(end_to_end=EndToEndOptions()))


@pytest.mark.parametrize(
    ("name", "layout"),
    [("net.safetensors", "featherface"), ("net.pth", "featherface"), ("net.pth", "published")],
)
def test_tensors_are_the_same_in_every_format(name: str, layout: str, weights: Path, tmp_path: Path) -> None:
    path = tmp_path / name
    export(weights, path, options=ExportOptions(layout=layout))  # type: ignore[arg-type]
    before, after = read_checkpoint(weights), read_checkpoint(path)
    assert after.layout == layout
    assert all(torch.equal(after.tensors[key], value) for key, value in before.tensors.items())
    assert after.facts == (before.facts if layout == "featherface" else {})
    assert FACTS.items() <= before.facts.items()


POOL = ZeroPaddedMaxPool.forward


def changed_by_export(self: ZeroPaddedMaxPool, x: torch.Tensor) -> torch.Tensor:
    """A pooling whose exported graph computes something else."""
    pooled = POOL(self, x)
    return pooled + 1 if torch.compiler.is_exporting() else pooled


def test_a_graph_that_computes_something_else_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_network(random_network(VARIANTS["v1"]), tmp_path / "v1.pth")
    monkeypatch.setattr(ZeroPaddedMaxPool, "forward", changed_by_export)
    out = tmp_path / "out" / "v1.onnx"
    with pytest.raises(ParityError, match=r"differs from torch in .*nothing was written"):
        export(tmp_path / "v1.pth", out, options=ExportOptions(size=(96, 128)))
    assert list(out.parent.iterdir()) == []


def test_a_failed_export_leaves_the_older_file(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "v2.ts"
    out.write_bytes(b"older")
    monkeypatch.setattr("ffcore.export.job.torchscript_runner", lambda _: lambda images: [images] * 3)
    with pytest.raises(ParityError):
        export(weights, out, compared_on=FEW[:1])
    assert out.read_bytes() == b"older"
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("net.bin", {}, "its name tells no format"),
        ("net.tflite", {}, "TFLite files are not written; ONNX Runtime runs .onnx files on Android and iOS"),
        ("net.mlmodel", {}, "Core ML files are not written"),
        ("net.mlpackage", {}, "Core ML files are not written"),
        ("net.param", {}, "ncnn files are not written"),
        ("net.onnx", {"format": "onx"}, "onnx"),
        ("net.pth", {"size": (64, 64)}, "take every size"),
        ("net.onnx", {"layout": "published"}, "published layout"),
        ("net.onnx", {"format": "safetensors"}, "name the file"),
        ("net.ts", {"end_to_end": EndToEndOptions()}, "no end-to-end graph"),
        ("net.ts", {"deform": "gridsample"}, "no DeformConv"),
        ("net.pt2", {"form": "plain"}, "never rearranged"),
        ("net.onnx", {"form": "quick"}, "form = 'quick' is unknown"),
        ("net.onnx", {"deform": "grid"}, "deform = 'grid' is unknown"),
        ("net.pt2", {"precision": HalfOptions(photos=Path())}, "are float32"),
        ("net.onnx", {"prune": 0.5}, "must be trained first"),
        (
            "net.onnx",
            {"precision": HalfOptions(photos=Path(), half_io=True), "end_to_end": EndToEndOptions()},
            "do not go with it",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_refused(
    name: str, settings: dict[str, object], message: str, weights: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        export(weights, tmp_path / name, options=ExportOptions(**settings))  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_pruned_file_says_so_and_claims_no_accuracy(tmp_path: Path) -> None:
    facts = {**FACTS, "ap.easy": "0.85", "ap.protocol": "original"}
    save_network(random_network(VARIANTS["v2"]), tmp_path / "v2.pth", facts=facts)
    done = export(tmp_path / "v2.pth", tmp_path / "small.safetensors", options=ExportOptions(prune=0.5))
    small = read_checkpoint(tmp_path / "small.safetensors")
    assert done.pruned is not None
    assert small.config.out_channel == done.pruned.width_after == 16
    assert done.to_dict()["pruned"]["parameters_after"] < done.pruned.parameters_before
    assert small.facts["licence"] == "CC0"
    assert "not trained since" in small.facts["pruned"]
    assert not [key for key in small.facts if key.startswith("ap.")]


def test_impossible_thresholds_are_refused_before_anything_is_read() -> None:
    with pytest.raises(ConfigError, match=r"score = 1.5"):
        EndToEndOptions(score=1.5)


def test_the_source_is_never_replaced(weights: Path) -> None:
    with pytest.raises(ConfigError, match="is the source"):
        export(weights, weights)


def test_a_graph_is_no_source(tmp_path: Path) -> None:
    (tmp_path / "v2.onnx").write_bytes(b"\x08\x08\x12\x07pytorch")
    with pytest.raises(CheckpointError, match="is an ONNX file"):
        export(tmp_path / "v2.onnx", tmp_path / "new.onnx")
