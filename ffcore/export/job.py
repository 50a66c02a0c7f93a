"""From weights to a file for another runtime, compared with its source before it gets its name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import torch

from ffcore.detection.loading import tensors_file
from ffcore.detection.options import DetectorOptions
from ffcore.errors import ConfigError, ExportError, did_you_mean
from ffcore.export.end_to_end import add_pre_and_postprocessing
from ffcore.export.end_to_end_parity import FaceDifference, require_same_faces
from ffcore.export.onnx_graph import export_onnx, metadata
from ffcore.export.parity import (
    EXACT,
    Case,
    Difference,
    Runner,
    Tolerance,
    cases,
    onnx_runner,
    require_parity,
)
from ffcore.export.torch_programs import (
    program_runner,
    torchscript_runner,
    write_program,
    write_torchscript,
)
from ffcore.files import replacing
from ffcore.models.featherface import FeatherFace
from ffcore.models.published import published_names
from ffcore.models.weights import Checkpoint, Layout, read_checkpoint, save_network

Format = Literal["onnx", "torchscript", "pt2", "safetensors", "pth"]

SUFFIXES: dict[str, Format] = {
    ".onnx": "onnx",
    ".torchscript": "torchscript",
    ".ts": "torchscript",
    ".pt2": "pt2",
    ".safetensors": "safetensors",
    ".pth": "pth",
}
"""The format that the name of a file stands for."""

TENSOR_FORMATS = ("safetensors", "pth")


@dataclass(frozen=True)
class Exported:
    """A file that was written, and how it compares with its source.

    Args:
        path: The file.
        format: Its format.
        network: Name of the network.
        size: Bytes.
        differences: Case by case; empty for files of tensors, which are equal to the source bit for bit.
        tolerance: What was allowed.
        faces: For end-to-end graphs, image by image.
    """

    path: Path
    format: Format
    network: str
    size: int
    differences: tuple[Difference, ...]
    tolerance: Tolerance
    faces: tuple[FaceDifference, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON knows it."""
        return {
            "path": str(self.path),
            "format": self.format,
            "network": self.network,
            "bytes": self.size,
            "tolerance": vars(self.tolerance) if self.differences else None,
            "parity": [
                {
                    "batch": found.case.batch,
                    "height": found.case.height,
                    "width": found.case.width,
                    "boxes": found.boxes,
                    "classes": found.classes,
                    "landmarks": found.landmarks,
                }
                for found in self.differences
            ],
            "faces": [
                {
                    "height": found.case.height,
                    "width": found.case.width,
                    "score": found.score,
                    "faces": found.faces,
                    "unmatched": found.unmatched,
                }
                for found in self.faces
            ],
        }


def export(
    source: str | Path,
    path: str | Path,
    *,
    format: Format | None = None,  # noqa: A002  # the word of the command line
    size: tuple[int, int] | None = None,
    layout: Layout = "featherface",
    end_to_end: DetectorOptions | None = None,
    compared_on: Iterable[Case] | None = None,
) -> Exported:
    """Writes a network in another format, unless it computes something else there.

    Args:
        source: A file of weights (.pth, .safetensors), or the name of weights that come with the package.
        path: The file to write or to replace; whole or not at all.
        format: None goes by the suffix of `path`.
        size: Height and width to fix together with a batch of 1 (onnx, pt2); None leaves all three open.
        layout: How tensors are named (pth).
        end_to_end: Puts preprocessing, decoding and NMS with these thresholds into the graph (onnx); see
            `ffcore.export.end_to_end`.
        compared_on: The cases of the comparison; `ffcore.export.parity.cases` by default.

    Raises:
        ParityError: The export differs from its source; nothing was written.
        ExportError: The exporter failed; nothing was written.
        ConfigError: Settings that do not go together.
        CheckpointError: The source cannot be read.
        UnknownModelError: There are no weights of that name.
        InputError: The file cannot be written.
    """
    path = Path(path)
    kind = _format(path, format)
    if size is not None and kind not in ("onnx", "pt2"):
        raise ConfigError(f"{kind} files take every size; a static one is for onnx and pt2")
    if end_to_end is not None and kind != "onnx":
        raise ConfigError(f"an end-to-end graph is an onnx file, not {kind}")
    if layout != "featherface" and kind != "pth":
        raise ConfigError(f"the published layout is one of pth files, not of {kind}")
    if kind == "safetensors" and path.suffix != ".safetensors":
        raise ConfigError(f"{path}: name the file .safetensors, or nobody will know it as such")
    if kind == "pth" and path.suffix not in (".pth", ".pt"):
        raise ConfigError(f"{path}: name the file .pth, or nobody will know it as such")
    weights = tensors_file(source)
    if path.exists() and path.samefile(weights):
        raise ConfigError(f"{path}: is the source of the export; give another name")
    checkpoint = read_checkpoint(weights)
    network = checkpoint.network()
    # which version wrote the source is not what the new file should say of itself
    facts = {key: value for key, value in checkpoint.facts.items() if key != "version"}
    compared = tuple(compared_on if compared_on is not None else cases(size))
    differences: tuple[Difference, ...] = ()
    faces: tuple[FaceDifference, ...] = ()
    with replacing(path) as part:
        if kind in TENSOR_FORMATS:
            save_network(network, part, facts=facts, layout=layout)
            _require_same_tensors(checkpoint, part, layout=layout, name=str(path))
        else:
            run = _write_program(kind, network, part, size=size, facts=facts)
            differences = require_parity(
                network,
                run,
                cases=compared,
                tolerance=EXACT,
                name=str(path),
            )
            if end_to_end is not None:
                faces = _add_steps(part, end_to_end, compared=compared, name=str(path))
        written = part.stat().st_size
    return Exported(path, kind, checkpoint.name, written, differences, EXACT, faces)


def _add_steps(
    part: Path, options: DetectorOptions, *, compared: Iterable[Case], name: str
) -> tuple[FaceDifference, ...]:
    """Replaces the graph of a network by the end-to-end graph, and compares the two."""
    singles = list(dict.fromkeys(replace(case, batch=1) for case in compared))
    with replacing(part) as whole:
        add_pre_and_postprocessing(part, whole, options=options)
        return require_same_faces(part, whole, options=options, cases=singles, name=name)


def _format(path: Path, wanted: Format | None) -> Format:
    if wanted is None:
        if path.suffix.lower() not in SUFFIXES:
            raise ConfigError(f"{path}: its name tells no format; give one of {', '.join(get_args(Format))}")
        return SUFFIXES[path.suffix.lower()]
    if wanted not in get_args(Format):
        raise ConfigError(f"format = {wanted!r}: {did_you_mean(wanted, get_args(Format))}")
    return wanted


def _write_program(
    kind: Format, network: FeatherFace, part: Path, *, size: tuple[int, int] | None, facts: dict[str, str]
) -> Runner:
    """Writes a file that computes, and gives what runs it as it lies on the disk."""
    if kind == "onnx":
        export_onnx(network, part, size=size, facts=facts)
        return onnx_runner(part.read_bytes())
    known = {**metadata(network), **{f"featherface.{key}": value for key, value in facts.items()}}
    if kind == "torchscript":
        write_torchscript(network, part, size=size, facts=known)
        return torchscript_runner(part)
    write_program(network, part, size=size, facts=known)
    return program_runner(part)


def _require_same_tensors(checkpoint: Checkpoint, part: Path, *, layout: Layout, name: str) -> None:
    """Reads a file of tensors back and compares it bit for bit."""
    if layout == "published":
        # not by read_checkpoint, which only recognises networks that were published
        stored = torch.load(part, weights_only=True)
        names = published_names(checkpoint.tensors, checkpoint.config)
        found = {ours: stored.get(theirs) for ours, theirs in names.items()}
    else:
        found = dict(read_checkpoint(part).tensors)
    for key, value in checkpoint.tensors.items():
        other = found.get(key)
        if other is None or other.dtype != value.dtype or not torch.equal(other, value):
            raise ExportError(f"{name}: {key} was read back with other values; nothing was written")
