"""A graph in int8 that is worth having: what it loses and what it gains is measured before it is kept."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from ffcore.benchmark import BenchmarkOptions, benchmark
from ffcore.detection.facts import PREFIX
from ffcore.errors import ExportError, InputError
from ffcore.evaluation.any_ground_truth import read_ground_truth
from ffcore.evaluation.ground_truth import read_image_list
from ffcore.evaluation.job import evaluate_detector
from ffcore.evaluation.protocols import protocol
from ffcore.events import OnEvent, ignore
from ffcore.export.equalise import equalised
from ffcore.export.face_agreement import agreement, detect_all, faces_as_truth
from ffcore.export.int8 import (
    SHARE,
    LayerGroup,
    choose_groups,
    layer_groups,
    measure_groups,
    set_metadata,
    value_ranges,
    write_int8,
)
from ffcore.export.options import FEW_PHOTOS, PHOTOS, Int8Options, Labels
from ffcore.export.photos import shrunk_photos, spread_photos
from ffcore.files import replacing

SCORE = 0.02
"""Faces below this play no part in the comparison, as in the protocols."""

_AGREEMENT = "agreement"


@dataclass(frozen=True)
class Accuracy:
    """AP of the network in float32 and in int8.

    Args:
        before: By subset, 0..1.
        after: By subset, 0..1.
        truth: What it was measured against, for people.
        photos: How many.
    """

    before: dict[str, float]
    after: dict[str, float]
    truth: str
    photos: int

    @property
    def drops(self) -> dict[str, float]:
        """Points lost by subset, 0..100; negative where something was won."""
        return {name: 100 * (self.before[name] - self.after[name]) for name in self.before}


@dataclass(frozen=True)
class Speed:
    """Network time in ONNX Runtime on this CPU, both networks in the same rounds.

    Args:
        before: Median of the float network, milliseconds.
        after: Median of the int8 network, milliseconds.
        size: Height and width of the input, pixels.
        threads: Of the CPU.
        cpu: Its model.
        load: Of the machine in the minute before, or None.
    """

    before: float
    after: float
    size: tuple[int, int]
    threads: int
    cpu: str
    load: float | None


@dataclass(frozen=True)
class Quantised:
    """What became of a network in int8.

    Args:
        groups: Its layers, and which of them stayed in float.
        accuracy: What it lost.
        speed: What it gained.
        bytes_before: Size of the float file.
        photos: How many were given, of which two of three were learnt from.
    """

    groups: tuple[LayerGroup, ...]
    accuracy: Accuracy
    speed: Speed
    bytes_before: int
    photos: int

    @property
    def note(self) -> str:
        """What to know before the figures are believed, one line; "" where there is nothing."""
        if self.photos >= FEW_PHOTOS:
            return ""
        return f"{self.photos} photos are few to calibrate on; give {FEW_PHOTOS} or more, better {PHOTOS}"

    @property
    def expected(self) -> float:
        """Points of AP, 0..100, that the groups in int8 are together expected to cost."""
        return sum(group.lost or 0.0 for group in self.groups if group.quantised)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {
            "groups": [
                {
                    "name": group.name,
                    "convolutions": len(group.nodes),
                    "share": round(group.share, 4),
                    "lost": None if group.lost is None else round(group.lost, 3),
                    "quantised": group.quantised,
                }
                for group in self.groups
            ],
            "expected_drop": round(self.expected, 3),
            "accuracy": {**vars(self.accuracy), "drops": self.accuracy.drops},
            "speed": vars(self.speed),
            "bytes_before": self.bytes_before,
            "photos": self.photos,
            "note": self.note,
        }


def quantise(
    path: Path,
    *,
    options: Int8Options,
    size: tuple[int, int] | None,
    name: str,
    on_event: OnEvent = ignore,
) -> Quantised:
    """Replaces a float graph by its int8 form, unless that loses too much.

    Two of three photos are learnt from; what each group of layers costs is measured on the others. Those that
    cost most stay in float, and those that are too small to save much.

    Args:
        path: The graph in float32, as `ffcore.export.export_onnx` writes it.
        options: Photos, labels and limits.
        size: Height and width that the graph insists on, or None.
        name: How the user knows the export.
        on_event: Told about the evaluation's progress.

    Raises:
        ExportError: It loses more than allowed, nothing of it can be quantised, or it does not run.
        InputError: Photos or labels cannot be read, or show no faces.
    """
    photos = spread_photos(options.photos, options.limit)
    held_back = photos[2::3] or photos[-1:]
    learnt = [photo for photo in photos if photo not in held_back]
    if not learnt:
        raise InputError(f"{options.photos}: holds one photo; at least 2 are needed, better {PHOTOS}")
    shown = list(shrunk_photos(held_back, size=size))
    with tempfile.TemporaryDirectory() as folder, replacing(path) as changed:
        even = Path(folder) / "even.onnx"
        onnx.save(equalised(onnx.load(path), shrunk_photos(learnt, size=size)), even)
        ranges = value_ranges(even, shrunk_photos(learnt, size=size))
        measured = measure_groups(even, groups=layer_groups(onnx.load(even)), ranges=ranges, photos=shown)
        groups = choose_groups(measured, SHARE * options.max_drop)
        nodes = [node for group in groups if group.quantised for node in group.nodes]
        if not nodes:
            raise ExportError(f"{name}: no group of its layers bears int8; nothing was written. Use float16")
        bytes_before = path.stat().st_size
        write_int8(even, changed, ranges=ranges, nodes=nodes)
        if options.labels is None:
            accuracy = _agreed((path, changed), shown)
        else:
            accuracy = _measured((path, changed), options.labels, options.threads, on_event)
        fallen = {subset: drop for subset, drop in accuracy.drops.items() if drop > options.max_drop}
        if fallen:
            worst = max(fallen, key=lambda subset: fallen[subset])
            raise ExportError(
                f"{name}: in int8 the AP of {worst} falls by {fallen[worst]:.2f} points, more than "
                f"{options.max_drop:g}; nothing was written. Calibrate on photos like yours, or use float16"
            )
        speed = _timed((path, changed), options, size)
        set_metadata(changed, changes=_facts(accuracy), without=f"{PREFIX}ap.")
    return Quantised(tuple(groups), accuracy, speed, bytes_before, photos=len(photos))


def _agreed(files: Sequence[Path], photos: Sequence[NDArray[np.uint8]]) -> Accuracy:
    """AP on photos without labels, where the float network says what is a face."""
    before, after = (detect_all(file, photos, score=SCORE) for file in files)
    truth = faces_as_truth(before)
    return Accuracy(
        {_AGREEMENT: agreement(truth, before)},
        {_AGREEMENT: agreement(truth, after)},
        truth="faces of the float network above 0.5, photos not learnt from",
        photos=len(photos),
    )


def _measured(files: Sequence[Path], labels: Labels, threads: int, on_event: OnEvent) -> Accuracy:
    """AP on labelled photos of both files."""
    truth = read_ground_truth(labels.ground_truth, data=labels.data, official=labels.images is None)
    if labels.images is not None:
        truth = truth.only(read_image_list(labels.images))
    conditions = protocol(labels.protocol)
    found: list[dict[str, float]] = []
    for file in files:
        with tempfile.TemporaryDirectory() as folder:
            evaluation = evaluate_detector(
                file,
                conditions,
                data=labels.data,
                ground_truth=truth,
                folder=folder,
                device="cpu",
                threads=threads,
                on_event=on_event,
            )
        found.append({name: ap for name, ap in evaluation.result.ap.items() if ap is not None})
    return Accuracy(
        found[0],
        found[1],
        truth=f"{labels.ground_truth.name}, protocol {conditions.label}",
        photos=len(truth.images),
    )


def _timed(files: Sequence[Path], options: Int8Options, size: tuple[int, int] | None) -> Speed:
    """The networks alone, in turns."""
    wanted = BenchmarkOptions(
        size=size or (640, 640), threads=options.threads, rounds=options.rounds, memory=False
    )
    result = benchmark([], files, options=wanted)
    before, after = (each.network.median_ms for each in result.measurements)
    return Speed(before, after, wanted.size, options.threads, result.machine.cpu, result.machine.load)


def _facts(accuracy: Accuracy) -> dict[str, str]:
    """What the file says of itself afterwards: the APs of its source are not its own."""
    entries = {"precision": "int8"}
    if _AGREEMENT not in accuracy.after:
        entries |= {f"ap.{name}": f"{ap:.4f}" for name, ap in accuracy.after.items()}
        entries |= {"ap.protocol": accuracy.truth, "ap.photos": str(accuracy.photos)}
    return {f"{PREFIX}{key}": value for key, value in entries.items()}
