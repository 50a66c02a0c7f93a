"""From weights and photos to a score."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ffcore._version import __version__
from ffcore.detection.detector import FaceDetector
from ffcore.detection.loading import load_backend, weights_file
from ffcore.distributed import Processes
from ffcore.errors import InputError
from ffcore.evaluation.ground_truth import GroundTruth
from ffcore.evaluation.mistakes import Mistakes, mistakes
from ffcore.evaluation.predict import RUN_FILE, PredictionRun, begin_run, find_photos, predict
from ffcore.evaluation.predictions import Missing, read_predictions
from ffcore.evaluation.protocols import Protocol
from ffcore.evaluation.result import EvaluationResult
from ffcore.evaluation.scoring import Matched, match_predictions, score
from ffcore.events import Failed, OnEvent, ignore
from ffcore.files import write_text


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A score and how it came about.

    Args:
        result: The numbers.
        matched: What they were counted from, for finer reports.
        run: What the network did; None when predictions were only scored.
        unreadable: Photos that were missing or broken, with the reason; they count as empty.
        model: Name, library and device of the detector; empty when predictions were only scored.
    """

    result: EvaluationResult
    matched: Matched
    run: PredictionRun | None
    unreadable: Mapping[str, str]
    model: Mapping[str, str]

    @cached_property
    def mistakes(self) -> tuple[Mistakes, ...]:
        """What keeps each subset that has faces from a higher AP."""
        found = (mistakes(self.matched, subset.name) for subset in self.result.subsets)
        return tuple(each for each in found if each is not None)

    def to_dict(self, *, curves: bool = False, with_mistakes: bool = False) -> dict[str, Any]:
        """Everything as plain values; `EvaluationResult.from_dict` reads its part back.

        Args:
            curves: Also the counts at all thresholds.
            with_mistakes: Also what keeps each subset from a higher AP.
        """
        speed = None
        if self.run is not None:
            speed = {
                "images": self.run.predicted,
                "seconds": round(self.run.seconds, 3),
                "images_per_second": round(self.run.images_per_second, 3),
                "network_busy": round(self.run.busy, 4),
            }
        plain = {
            **self.result.to_dict(curves=curves),
            "model": dict(self.model),
            "speed": speed,
            "unreadable": dict(self.unreadable),
        }
        if with_mistakes:
            plain["mistakes"] = {each.subset: each.to_dict() for each in self.mistakes}
        return plain


def score_folder(folder: str | Path, ground_truth: GroundTruth, *, missing: Missing = "refuse") -> Evaluation:
    """Scores prediction files.

    Args:
        folder: Of ``event/name.txt``; the protocol is taken from the file that `evaluate_detector` left
            there, if it did.
        ground_truth: The faces.
        missing: As for `read_predictions`.

    Raises:
        InputError: A file is missing, foreign or damaged.
    """
    matched = match_predictions(ground_truth, read_predictions(folder, ground_truth, missing=missing))
    run_file = Path(folder) / RUN_FILE
    identity = json.loads(run_file.read_text(encoding="utf-8")) if run_file.exists() else {}
    result = score(matched, protocol=identity.get("protocol"))
    return Evaluation(result, matched, None, {}, identity.get("model", {}))


def evaluate_detector(
    model: str | Path,
    protocol: Protocol,
    *,
    data: str | Path,
    ground_truth: GroundTruth,
    folder: str | Path,
    device: str = "auto",
    threads: int | None = None,
    processes: Processes | None = None,
    on_event: OnEvent = ignore,
) -> Evaluation:
    """Predicts all photos of a ground truth and scores them.

    Several processes share the photos; each returns the same evaluation.

    Args:
        model: As for `FaceDetector.load`.
        protocol: The conditions.
        data: Holds ``event/name.jpg``.
        ground_truth: The faces and images.
        folder: Where prediction files go. One that holds part of them already is completed.
        device: As for `FaceDetector.load`, likewise below.
        threads: Of the CPU.
        processes: Who shares the work; this process alone when None.
        on_event: Told about progress and failures.

    Raises:
        InputError: No photo is there, or the folder holds predictions of another run.
        ModelError: The model cannot be loaded, or the network failed.
    """
    processes = processes or Processes()
    weights = weights_file(model)
    backend = load_backend(weights, device=device, threads=threads)
    identity = {
        "network": backend.facts.network,
        "library": backend.name,
        "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
    }
    _begin(
        folder,
        {"model": identity, "protocol": protocol.to_dict(), "version": __version__},
        processes=processes,
    )
    photos = find_photos(data, ground_truth.images)
    unreadable = {image: "no such photo" for image in ground_truth.images if image not in photos}
    if processes.first:
        for image, reason in unreadable.items():
            on_event(Failed(image, reason))
    mine = dict(list(photos.items())[processes.rank :: processes.count])
    detector = FaceDetector(backend, protocol.options)
    runs = processes.gather(predict(detector, mine, folder, on_event=on_event))
    for run in runs:
        unreadable |= run.failed
    evaluation = score_folder(folder, ground_truth, missing="empty" if unreadable else "refuse")
    if lost := set(evaluation.result.missing) - set(unreadable):
        raise InputError(
            f"{folder}: predictions have vanished, such as {min(lost)}; was it changed meanwhile?"
        )
    return replace(
        evaluation,
        run=_together(runs),
        unreadable=unreadable,
        model={"file": weights.name, **identity, "device": backend.device},
    )


def _begin(folder: str | Path, identity: Mapping[str, Any], *, processes: Processes) -> None:
    """Marks the folder; every process learns of what went wrong on the first."""
    wrong: list[InputError] = []
    if processes.first:
        try:
            begin_run(folder, identity)
        except InputError as error:
            wrong.append(error)
    for found in processes.gather(wrong)[0]:
        raise found


def _together(runs: Sequence[PredictionRun]) -> PredictionRun:
    """What processes did side by side."""
    return PredictionRun(
        images=sum(run.images for run in runs),
        predicted=sum(run.predicted for run in runs),
        failed={image: reason for run in runs for image, reason in run.failed.items()},
        seconds=max(run.seconds for run in runs),
        network_seconds=sum(run.network_seconds for run in runs) / len(runs),
    )


def write_evaluation(path: str | Path, evaluation: Evaluation, *, with_mistakes: bool = False) -> None:
    """Writes everything as JSON, curves included; `read_result` reads the numbers back.

    Args:
        path: Of the file.
        evaluation: What to write.
        with_mistakes: As for `Evaluation.to_dict`.

    Raises:
        InputError: The file cannot be written.
    """
    plain = evaluation.to_dict(curves=True, with_mistakes=with_mistakes)
    write_text(path, json.dumps(plain, ensure_ascii=False, allow_nan=False) + "\n")
