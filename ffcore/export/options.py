"""How a network is exported."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from ffcore.config.settings import check_choices
from ffcore.detection.detector import DetectorSettings, recommended_options
from ffcore.detection.facts import DetectorFacts
from ffcore.detection.options import DetectorOptions
from ffcore.errors import ConfigError, did_you_mean
from ffcore.models.weights import Layout

Format: TypeAlias = Literal["onnx", "torchscript", "pt2", "safetensors", "pth"]
Deform: TypeAlias = Literal["native", "gridsample"]
Form: TypeAlias = Literal["fast", "plain"]
"""Of a graph: rearranged for speed, or operator by operator what the network is built from."""

SUFFIXES: dict[str, Format] = {
    ".onnx": "onnx",
    ".torchscript": "torchscript",
    ".ts": "torchscript",
    ".pt2": "pt2",
    ".safetensors": "safetensors",
    ".pth": "pth",
}
"""The format that the name of a file stands for."""

NOT_WRITTEN = {
    ".tflite": "TFLite",
    ".mlmodel": "Core ML",
    ".mlpackage": "Core ML",
    ".param": "ncnn",
}
"""What phones are often given, and this package does not write."""

TENSOR_FORMATS = ("safetensors", "pth")
PHOTOS = 100
"""So many photos of a folder are looked at, unless told otherwise."""

FEW_PHOTOS = 20
"""With fewer than these int8 says that its ranges and its comparison rest on little."""


@dataclass(frozen=True, kw_only=True)
class HalfOptions:
    """ONNX in float16.

    Args:
        photos: Folder on whose photos the faces are compared; looked through with all below it.
        limit: At most so many of them, evenly spread.
        half_io: Input and outputs are float16 too; otherwise they stay float32.
    """

    photos: Path
    limit: int = PHOTOS
    half_io: bool = False


@dataclass(frozen=True, kw_only=True)
class Labels:
    """Photos with known faces, to measure AP before and after.

    Args:
        ground_truth: As `ffcore.evaluation.any_ground_truth.read_ground_truth` takes it.
        data: Holds ``event/name.jpg``.
        images: File that lists the images to evaluate; None for all.
        protocol: Name of the conditions.
    """

    ground_truth: Path
    data: Path
    images: Path | None = None
    protocol: str = "original"


@dataclass(frozen=True, kw_only=True)
class Int8Options:
    """ONNX in int8.

    Args:
        photos: Folder on whose photos the ranges of values are learnt; looked through with all below it.
        limit: At most so many of them, evenly spread.
        labels: Where AP is measured; None takes the faces of the float network on the photos of
            `photos` that were not learnt from for the truth.
        max_drop: Points of AP that may be lost, 0..100.
        threads: Of the CPU, for measuring.
        rounds: How often each network is timed.

    Raises:
        ConfigError: A value is out of range.
    """

    photos: Path
    limit: int = PHOTOS
    labels: Labels | None = None
    max_drop: float = 1.0
    threads: int = 1
    rounds: int = 20

    def __post_init__(self) -> None:
        if not 0 <= self.max_drop <= 100:
            raise ConfigError(f"max_drop = {self.max_drop}: points of AP, from 0 to 100, are needed")
        if self.limit < 2:
            raise ConfigError(
                f"limit = {self.limit}: at least 2 photos are needed, to learn from and to measure"
            )


@dataclass(frozen=True, kw_only=True)
class EndToEndOptions:
    """A graph from the photo to its faces, and what is fixed in it.

    Args:
        score: Faces must score more than this, 0..1; None takes what the source recommends, or the
            default of `DetectorOptions` where it recommends nothing.
        nms: Boxes that overlap a better one by more than this IoU are dropped, 0..1; None likewise.
        max_faces: At most so many faces come out.

    Raises:
        ConfigError: A value is out of range.
    """

    score: float | None = None
    nms: float | None = None
    max_faces: int = DetectorOptions.max_faces

    def __post_init__(self) -> None:
        self.filled(DetectorFacts())

    def filled(self, facts: DetectorFacts) -> DetectorOptions:
        """Every threshold, those that were not given as the source recommends them.

        Args:
            facts: What the source says.
        """
        settings: DetectorSettings = {"max_faces": self.max_faces}
        if self.score is not None:
            settings["score"] = self.score
        if self.nms is not None:
            settings["nms"] = self.nms
        return recommended_options(facts, settings)


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """Settings of `ffcore.export.job.export`.

    Raises:
        ConfigError: A value is unknown, or two values cannot go together.
    """

    format: Format | None = None
    """None goes by the suffix of the file."""
    size: tuple[int, int] | None = None
    """Height and width to fix together with a batch of 1 (onnx, pt2); None leaves all three open."""
    layout: Layout = "featherface"
    """How tensors are named (pth)."""
    end_to_end: EndToEndOptions | None = None
    """Puts preprocessing, decoding and NMS with these thresholds into the graph (onnx); see
    `ffcore.export.end_to_end`."""
    deform: Deform = "native"
    """The operator DeformConv, or GridSample for engines that do not know it (onnx)."""
    form: Form = "fast"
    """Rearranged for ONNX Runtime on a CPU, or as the network is built, for other engines (onnx)."""
    precision: HalfOptions | Int8Options | None = None
    """float16 or int8 (onnx); None stays with float32."""
    prune: float | None = None
    """Part of the pyramid's channels that is removed before (tensor formats), 0..1; see
    `ffcore.models.pruning`."""

    def __post_init__(self) -> None:
        check_choices(self, {"deform": get_args(Deform), "form": get_args(Form)})
        if self.format is not None and self.format not in get_args(Format):
            raise ConfigError(f"format = {self.format!r}: {did_you_mean(self.format, get_args(Format))}")
        if isinstance(self.precision, HalfOptions) and self.precision.half_io and self.end_to_end:
            raise ConfigError(
                "an end-to-end graph takes a photo; float16 inputs and outputs do not go with it"
            )

    def format_of(self, path: Path) -> Format:
        """The format of a file to write, which the other settings fit.

        Raises:
            ConfigError: Its name tells none, or a setting is not for files of this kind.
        """
        kind = self.format or SUFFIXES.get(path.suffix.lower())
        if kind is None and (other := NOT_WRITTEN.get(path.suffix.lower())):
            raise ConfigError(
                f"{path}: {other} files are not written; ONNX Runtime runs .onnx files on Android and iOS, "
                "see docs/export.md, On a phone"
            )
        if kind is None:
            names = ", ".join(get_args(Format))
            raise ConfigError(f"{path}: its name tells no format; give one of {names}")
        refusals = {
            "take every size; a static one is for onnx and pt2": self.size is not None
            and kind not in ("onnx", "pt2"),
            "hold no end-to-end graph, only onnx files do": self.end_to_end is not None and kind != "onnx",
            "have no DeformConv to replace, only onnx files have": self.deform != "native" and kind != "onnx",
            "are never rearranged, only onnx files are": self.form != "fast" and kind != "onnx",
            "are float32; float16 and int8 are for onnx": self.precision is not None and kind != "onnx",
            "have no published layout, only pth files have": self.layout != "featherface" and kind != "pth",
            "compute, and a pruned network must be trained first; prune into safetensors or pth": (
                self.prune is not None and kind not in TENSOR_FORMATS
            ),
        }
        for reason, wrong in refusals.items():
            if wrong:
                raise ConfigError(f"{kind} files {reason}")
        suffixes = {"safetensors": (".safetensors",), "pth": (".pth", ".pt")}.get(kind)
        if suffixes and path.suffix not in suffixes:
            raise ConfigError(f"{path}: name the file {suffixes[0]}, or nobody will know it as such")
        return kind
