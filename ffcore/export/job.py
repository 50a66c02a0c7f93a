"""From weights to a file for another runtime, compared with its source before it gets its name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ffcore.detection.facts import PREFIX, DetectorFacts
from ffcore.detection.loading import tensors_file
from ffcore.detection.options import DetectorOptions
from ffcore.errors import CheckpointError, ConfigError, ExportError
from ffcore.events import OnEvent, ignore
from ffcore.export.deform_conv import grid_sample_deform_conv2d, onnx_deform_conv2d
from ffcore.export.end_to_end import add_pre_and_postprocessing
from ffcore.export.end_to_end_parity import FaceDifference, require_same_faces
from ffcore.export.face_agreement import (
    HALF,
    FaceAgreement,
    compare_faces,
    detect_all,
    require_faces,
)
from ffcore.export.half import write_half
from ffcore.export.int8 import set_metadata
from ffcore.export.onnx_graph import export_onnx, metadata
from ffcore.export.options import TENSOR_FORMATS, ExportOptions, Format, HalfOptions, Int8Options
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
from ffcore.export.photos import shrunk_photos, spread_photos
from ffcore.export.quantised import Quantised, quantise
from ffcore.export.torch_programs import (
    program_runner,
    torchscript_runner,
    write_program,
    write_torchscript,
)
from ffcore.files import replacing
from ffcore.models.featherface import FeatherFace
from ffcore.models.pruning import Pruned, prune
from ffcore.models.published import published_names
from ffcore.models.weights import Checkpoint, Layout, read_checkpoint, save_network

_DEFORM_CONV = {"native": onnx_deform_conv2d, "gridsample": grid_sample_deform_conv2d}


@dataclass(frozen=True)
class Exported:
    """A file that was written, and how it compares with its source.

    Args:
        path: The file.
        format: Its format.
        network: Name of the network.
        size: Bytes.
        differences: Case by case, of the float32 graph; empty for files of tensors, which are equal to the
            source bit for bit.
        tolerance: What was allowed.
        end_to_end: For end-to-end graphs, the thresholds that are fixed in it.
        faces: For end-to-end graphs, image by image.
        half: For float16, how the faces on photos compare with those of float32.
        quantised: For int8, what it lost and gained.
        pruned: For a pruned network, what was removed.
    """

    path: Path
    format: Format
    network: str
    size: int
    differences: tuple[Difference, ...]
    tolerance: Tolerance
    faces: tuple[FaceDifference, ...] = ()
    end_to_end: DetectorOptions | None = None
    half: FaceAgreement | None = None
    quantised: Quantised | None = None
    pruned: Pruned | None = None

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
            "end_to_end": self.end_to_end
            and {
                name: getattr(self.end_to_end, name) for name in ("score", "nms", "candidates", "max_faces")
            },
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
            "float16": self.half and {**vars(self.half), "tolerance": vars(HALF)},
            "int8": self.quantised and self.quantised.to_dict(),
            "pruned": self.pruned and vars(self.pruned),
        }


def export(
    source: str | Path,
    path: str | Path,
    *,
    options: ExportOptions | None = None,
    compared_on: Iterable[Case] | None = None,
    on_event: OnEvent = ignore,
) -> Exported:
    """Writes a network in another format, unless it computes something else there.

    Args:
        source: A file of weights (.pth, .safetensors), or the name of weights that come with the package.
        path: The file to write or to replace; whole or not at all.
        options: What to write; the defaults when None.
        compared_on: The cases of the comparison; `ffcore.export.parity.cases` by default.
        on_event: Told about the progress of evaluations.

    Raises:
        ParityError: The export differs from its source; nothing was written.
        ExportError: The exporter failed, or a smaller type of numbers loses too much; nothing was written.
        ConfigError: Settings that do not go together.
        CheckpointError: The source cannot be read.
        UnknownModelError: There are no weights of that name.
        InputError: Photos or labels cannot be read, or the file cannot be written.
    """
    path, options = Path(path), options or ExportOptions()
    kind = options.format_of(path)
    weights = tensors_file(source)
    if path.exists() and path.samefile(weights):
        raise ConfigError(f"{path}: is the source of the export; give another name")
    checkpoint = read_checkpoint(weights)
    # which version wrote the source is not what the new file should say of itself
    facts = {key: value for key, value in checkpoint.facts.items() if key != "version"}
    if kind in TENSOR_FORMATS:
        return _export_tensors(checkpoint, path, kind, options=options, facts=facts)
    inside = _thresholds(checkpoint, weights, options)
    network = checkpoint.network()
    compared = tuple(compared_on if compared_on is not None else cases(options.size))
    half: FaceAgreement | None = None
    quantised: Quantised | None = None
    faces: tuple[FaceDifference, ...] = ()
    with replacing(path) as part:
        run = _write_program(kind, network, part, options=options, facts=facts)
        differences = require_parity(network, run, cases=compared, tolerance=EXACT, name=str(path))
        if isinstance(options.precision, HalfOptions):
            half = _halve(part, options.precision, size=options.size, name=str(path))
        if isinstance(options.precision, Int8Options):
            quantised = quantise(
                part, options=options.precision, size=options.size, name=str(path), on_event=on_event
            )
        if inside is not None:
            faces = _add_steps(part, inside, compared=compared, name=str(path))
        written = part.stat().st_size
    return Exported(
        path,
        kind,
        checkpoint.name,
        written,
        differences,
        EXACT,
        faces,
        end_to_end=inside,
        half=half,
        quantised=quantised,
    )


def _thresholds(checkpoint: Checkpoint, weights: Path, options: ExportOptions) -> DetectorOptions | None:
    """What an end-to-end graph is to hold: what was asked for, else what the weights recommend."""
    if options.end_to_end is None:
        return None
    known = {f"{PREFIX}{key}": value for key, value in checkpoint.facts.items()}
    try:
        facts = DetectorFacts.from_metadata(known)
    except ConfigError as error:
        raise CheckpointError(weights, str(error)) from None
    return options.end_to_end.filled(facts)


def _export_tensors(
    checkpoint: Checkpoint, path: Path, kind: Format, *, options: ExportOptions, facts: dict[str, str]
) -> Exported:
    """Writes a file of tensors, pruned before if asked, and reads it back."""
    network, pruned = checkpoint.network(), None
    if options.prune is not None:
        network, pruned = prune(network, options.prune)
        # what was measured of the whole network is not true of a part of it
        facts = {key: value for key, value in facts.items() if not key.startswith("ap.")}
        facts["pruned"] = f"width {pruned.width_before} to {pruned.width_after}, not trained since"
        checkpoint = Checkpoint(network.config, dict(network.state_dict()), facts, checkpoint.layout)
    with replacing(path) as part:
        save_network(network, part, facts=facts, layout=options.layout)
        _require_same_tensors(checkpoint, part, layout=options.layout, name=str(path))
        written = part.stat().st_size
    return Exported(path, kind, checkpoint.name, written, (), EXACT, pruned=pruned)


def _halve(part: Path, options: HalfOptions, *, size: tuple[int, int] | None, name: str) -> FaceAgreement:
    """Replaces a graph by its float16 form, unless it moves faces too far."""
    photos = list(shrunk_photos(spread_photos(options.photos, options.limit), size=size))
    low = 0.3  # a face that was sure may have become a little less so
    before = detect_all(part, photos, score=low)
    require_faces(before)  # nothing to compare would be nothing to refuse
    with replacing(part) as changed:
        write_half(part, changed, half_io=options.half_io)
        set_metadata(changed, changes={f"{PREFIX}precision": "float16"})
        after = detect_all(changed, photos, score=low)
        offers = detect_all(changed, photos, score=low, suppress=False)
        found = compare_faces(before, after, offers)
        if not found.within(HALF):
            raise ExportError(
                f"{name}: float16 moves scores by {found.score:.1e} and boxes by {found.box:.1e} of their "
                f"side ({HALF.score:g} and {HALF.box:g} allowed), and {found.lost} of {found.faces} faces "
                "come or go; nothing was written"
            )
    return found


def _add_steps(
    part: Path, options: DetectorOptions, *, compared: Iterable[Case], name: str
) -> tuple[FaceDifference, ...]:
    """Replaces the graph of a network by the end-to-end graph, and compares the two."""
    singles = list(dict.fromkeys(replace(case, batch=1) for case in compared))
    with replacing(part) as whole:
        add_pre_and_postprocessing(part, whole, options=options)
        return require_same_faces(part, whole, options=options, cases=singles, name=name)


def _write_program(
    kind: Format, network: FeatherFace, part: Path, *, options: ExportOptions, facts: dict[str, str]
) -> Runner:
    """Writes a file that computes, and gives what runs it as it lies on the disk."""
    if kind == "onnx":
        export_onnx(
            network,
            part,
            size=options.size,
            facts=facts,
            form=options.form,
            deform_conv=_DEFORM_CONV[options.deform],
        )
        return onnx_runner(part.read_bytes())
    known = {**metadata(network), **{f"{PREFIX}{key}": value for key, value in facts.items()}}
    if kind == "torchscript":
        write_torchscript(network, part, size=options.size, facts=known)
        return torchscript_runner(part)
    write_program(network, part, size=options.size, facts=known)
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
