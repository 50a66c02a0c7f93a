"""Every format, from the shipped and from public weights, is loaded and finds the faces of the examples.

One format is left out, the page for a browser: tests/web visits it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from ffcore import DetectorOptions, FaceDetector, Faces, read_image
from ffcore.detection.backend import RawOutputs
from ffcore.detection.facts import DetectorFacts
from ffcore.detection.loading import load_backend, tensors_file
from ffcore.export.job import export
from ffcore.export.options import EndToEndOptions, ExportOptions, HalfOptions, Int8Options
from ffcore.export.package import export_package
from ffcore.export.parity import Case, Runner
from ffcore.export.torch_programs import program_runner, torchscript_runner
from ffcore.geometry import pairwise_iou
from tests.public_weights import PUBLIC

PHOTOS = Path(__file__).parents[2] / "examples" / "photos"
PEOPLE = {"astronaut": 1, "cat": 0, "grace_hopper": 1, "group": 18}
SIZE = (768, 1024)
FEW = [Case(2, 97, 131)]

Opened: TypeAlias = Callable[[Path], Faces]


@dataclass(frozen=True)
class Program:
    """A file that torch runs without our code, as a backend of the detector."""

    runner: Runner
    facts: DetectorFacts
    input_size: tuple[int, int] | None = None
    name: str = "torch"
    device: str = "cpu"

    def run(self, batch: NDArray[np.uint8]) -> RawOutputs:
        images = (batch - np.array(self.facts.mean, np.float32)).transpose(0, 3, 1, 2)
        boxes, scores, landmarks = self.runner(np.ascontiguousarray(images))
        return RawOutputs(boxes=boxes, scores=scores[..., 1], landmarks=landmarks)


def opened_by_the_detector(path: Path, options: DetectorOptions) -> Opened:
    return FaceDetector(load_backend(path, device="cpu", threads=1), options)


def opened_by_torch(path: Path, options: DetectorOptions) -> Opened:
    runner = torchscript_runner if path.suffix == ".ts" else program_runner
    return FaceDetector(Program(runner(path), DetectorFacts()), options)


def opened_by_the_runtime(path: Path, options: DetectorOptions) -> Opened:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def detect(photo: Path) -> Faces:
        boxes, scores, landmarks = session.run(None, {"image": read_image(photo)})
        return Faces(boxes=boxes, scores=scores, landmarks=landmarks)

    return detect


@dataclass(frozen=True)
class Kind:
    """How a file is made, who opens it, and what a box may lose.

    Args:
        file: Its name.
        options: How it is made, for these thresholds.
        opened: Who opens it.
        size: Height and width that the file is fixed to.
        alone: Whether the file sees the photo as it is, without what our detector does around a network.
        overlap: Least IoU of a box with the one that torch finds with the source.
        lost: Share of the source's faces that may be missing, and one more found; 0: all are the same.
    """

    file: str
    options: Callable[[DetectorOptions], ExportOptions] = lambda _: ExportOptions()
    opened: Callable[[Path, DetectorOptions], Opened] = opened_by_the_detector
    size: tuple[int, int] | None = None
    alone: bool = False
    overlap: float = 0.999
    lost: float = 0


KINDS = {
    "onnx": Kind("net.onnx"),
    "onnx of a fixed size": Kind("net.onnx", lambda _: ExportOptions(size=SIZE), size=SIZE),
    "onnx with GridSample": Kind("net.onnx", lambda _: ExportOptions(deform="gridsample")),
    "onnx as built": Kind("net.onnx", lambda _: ExportOptions(form="plain")),
    "onnx from end to end": Kind(
        "net.onnx",
        lambda options: ExportOptions(end_to_end=EndToEndOptions(score=options.score)),
        opened_by_the_runtime,
        alone=True,
    ),
    "onnx in float16": Kind(
        "net.onnx", lambda _: ExportOptions(precision=HalfOptions(photos=PHOTOS)), overlap=0.95
    ),
    "onnx in int8": Kind(
        "net.onnx",
        lambda _: ExportOptions(precision=Int8Options(photos=PHOTOS, rounds=1, max_drop=5)),
        overlap=0.5,
        lost=0.1,
    ),
    "torchscript": Kind("net.ts", opened=opened_by_torch),
    "pt2": Kind("net.pt2", opened=opened_by_torch),
    "pt2 of a fixed size": Kind("net.pt2", lambda _: ExportOptions(size=SIZE), opened_by_torch, size=SIZE),
    "safetensors": Kind("net.safetensors"),
    "pth": Kind("net.pth"),
    "published pth": Kind("net.pth", lambda _: ExportOptions(layout="published")),
}


@pytest.fixture(
    scope="module", params=["v2", *(pytest.param(name, marks=pytest.mark.reference) for name in PUBLIC)]
)
def source(request: pytest.FixtureRequest) -> Path:
    """Weights: those of the package, and public ones."""
    if request.param == "v2":
        return tensors_file("v2")
    return Path(request.getfixturevalue("reference"), "weights", request.param)


def options_for(source: Path, *, alone: bool, size: tuple[int, int] | None = None) -> DetectorOptions:
    """The thresholds that the source recommends, which a file of bare tensors does not say."""
    score = FaceDetector.load(source, device="cpu").options.score
    if alone:
        return DetectorOptions(score=score, multiple=1, close_ups=False, max_side=None)
    return DetectorOptions(score=score, size=size)


def require_the_faces(
    opened: Opened,
    source: Path,
    options: DetectorOptions,
    *,
    overlap: float,
    lost: float = 0,
    missing: int = 0,
) -> None:
    """The faces are those of the source in torch, which misses at most so many of a photo."""
    wanted_by = FaceDetector(load_backend(source, device="cpu"), options)
    for photo, people in PEOPLE.items():
        path = PHOTOS / f"{photo}.jpg"
        found, wanted = opened(path), wanted_by(path)
        assert len(wanted) >= people - missing, photo
        again = int((pairwise_iou(found.boxes, wanted.boxes) > overlap).any(axis=0).sum())
        assert again >= len(wanted) * (1 - lost), photo
        assert len(found) - again <= (1 if lost else 0), photo


# v1-original has a score of 0.5 for one face of the group, unless the photo is filled up to a multiple of 32
ONE_AT_THE_THRESHOLD = 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_is_loaded_and_finds_the_faces(kind: str, source: Path, tmp_path: Path) -> None:
    made = KINDS[kind]
    options = options_for(source, alone=made.alone, size=made.size)
    file = tmp_path / made.file
    compared = [Case(1, *made.size)] if made.size else FEW
    export(source, file, options=made.options(options), compared_on=compared)
    missing = ONE_AT_THE_THRESHOLD if made.alone else 0
    opened = made.opened(file, options)
    require_the_faces(opened, source, options, overlap=made.overlap, lost=made.lost, missing=missing)


def test_a_package_is_loaded_and_finds_the_faces(source: Path, tmp_path: Path) -> None:
    folder = export_package(source, tmp_path / "package", compared_on=FEW).path.parent
    options = options_for(source, alone=False)
    for name in ("model.onnx", "model.safetensors", "model.pth"):
        require_the_faces(opened_by_the_detector(folder / name, options), source, options, overlap=0.999)

    def by_the_example(photo: Path) -> Faces:
        command = [sys.executable, "-I", str(folder / "usage_example.py"), str(photo)]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        lines = np.array([line.split() for line in printed.splitlines()], np.float32).reshape(-1, 5)
        points = np.zeros((len(lines), 5, 2), np.float32)
        return Faces(boxes=lines[:, :4], scores=lines[:, 4], landmarks=points)

    require_the_faces(
        by_the_example,
        source,
        options_for(source, alone=True),
        overlap=0.98,  # it prints tenths of a pixel
        missing=ONE_AT_THE_THRESHOLD,
    )
