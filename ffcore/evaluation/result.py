"""What an evaluation found, as a value that can be written, read back and compared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ffcore.errors import InputError, one_line
from ffcore.evaluation.curve import THRESHOLDS, Curve
from ffcore.files import write_text

PRECISIONS = (0.90, 0.95, 0.99)
"""Precisions at which the recall is reported."""


@dataclass(frozen=True, eq=False)
class SubsetScore:
    """The score of one subset.

    Args:
        name: The subset.
        ap: Average precision, 0..1; None where the subset keeps no face.
        faces: How many faces it keeps.
        recall_at_precision: The recall, 0..1, at each of `PRECISIONS`.
        curve: The counts at all thresholds; None when read from a file without them.
    """

    name: str
    ap: float | None
    faces: int
    recall_at_precision: Mapping[float, float | None]
    curve: Curve | None

    @classmethod
    def of(cls, name: str, curve: Curve) -> SubsetScore:
        """What a curve says."""
        recalls = {precision: curve.recall_at_precision(precision) for precision in PRECISIONS}
        return cls(name, curve.average_precision, curve.faces, recalls, curve)

    @property
    def percent(self) -> str:
        """The AP as it is printed: ``"93.25"``, or ``"n/a"``."""
        return "n/a" if self.ap is None else f"{100 * self.ap:.2f}"

    def to_dict(self, *, curve: bool = False) -> dict[str, Any]:
        """Plain values for JSON; with `curve`, also precision, recall and both counts at all thresholds."""
        plain: dict[str, Any] = {
            "ap": self.ap,
            "faces": self.faces,
            "recall_at_precision": {f"{key:g}": value for key, value in self.recall_at_precision.items()},
        }
        if curve and self.curve is not None:
            plain["curve"] = {
                "precision": self.curve.precision.tolist(),
                "recall": self.curve.recall.tolist(),
                "proposals": self.curve.proposals.tolist(),
                "recalled": self.curve.recalled.tolist(),
            }
        return plain

    @classmethod
    def from_dict(cls, name: str, plain: Mapping[str, Any]) -> SubsetScore:
        """The opposite of `to_dict`."""
        stored = plain.get("curve")
        curve = stored and Curve(
            np.array(stored["proposals"], np.int64), np.array(stored["recalled"], np.int64), plain["faces"]
        )
        recalls = {float(key): value for key, value in plain["recall_at_precision"].items()}
        return cls(name, plain["ap"], plain["faces"], recalls, curve)


@dataclass(frozen=True, eq=False)
class EvaluationResult:
    """The scores of one set of predictions, with what must be known to read them.

    Args:
        subsets: In the order of the ground truth.
        images: How many were evaluated.
        partial: They are a part, chosen by name, of a larger set.
        boxes: How many were predicted.
        empty_images: Images without a box, missing ones included.
        score_min: The score that is normalised to 0; at most 1.
        score_max: The score that is normalised to 1; at least 0.
        constant_scores: All scores are the same, so that no box passes any threshold.
        missing: Images that had no prediction and were counted as empty.
        iou_threshold: The smallest overlap that counts.
        protocol: How the predictions were made, as plain values; None when nobody said.
    """

    subsets: tuple[SubsetScore, ...]
    images: int
    partial: bool
    boxes: int
    empty_images: int
    score_min: float
    score_max: float
    constant_scores: bool
    missing: tuple[str, ...]
    iou_threshold: float
    protocol: Mapping[str, Any] | None

    @property
    def complete(self) -> bool:
        """Whether every image had a prediction."""
        return not self.missing

    @property
    def ap(self) -> dict[str, float | None]:
        """Average precision of each subset."""
        return {subset.name: subset.ap for subset in self.subsets}

    @property
    def faces(self) -> dict[str, int]:
        """Kept faces of each subset."""
        return {subset.name: subset.faces for subset in self.subsets}

    @property
    def remarks(self) -> tuple[str, ...]:
        """What every printed or drawn form of the numbers has to say beside them."""
        said = []
        if self.missing:
            said.append(f"incomplete: {len(self.missing):,} of {self.images:,} images have no predictions")
        if self.partial:
            said.append(f"a part of the set: {self.images:,} images")
        if self.constant_scores:
            said.append("all scores are equal, so no box passes any threshold")
        if self.iou_threshold != 0.5:
            said.append(f"IoU threshold {self.iou_threshold:g} instead of 0.5")
        return tuple(said)

    @property
    def protocol_text(self) -> str:
        """The protocol in one line: ``"protocol: original, score 0.02"``."""
        if self.protocol is None:
            return "protocol not stated"
        said = [f"{key} {value}" if key != "name" else str(value) for key, value in self.protocol.items()]
        return f"protocol: {', '.join(said)}" if said else "protocol not stated"

    def to_dict(self, *, curves: bool = False) -> dict[str, Any]:
        """Plain values for JSON; with `curves`, also those of every subset."""
        return {
            "ap": self.ap,
            "subsets": {subset.name: subset.to_dict(curve=curves) for subset in self.subsets},
            "images": self.images,
            "partial": self.partial,
            "boxes": self.boxes,
            "empty_images": self.empty_images,
            "score_min": self.score_min,
            "score_max": self.score_max,
            "constant_scores": self.constant_scores,
            "complete": self.complete,
            "missing_images": len(self.missing),
            "missing": list(self.missing),
            "iou_threshold": self.iou_threshold,
            "thresholds": THRESHOLDS,
            "protocol": None if self.protocol is None else dict(self.protocol),
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> EvaluationResult:
        """The opposite of `to_dict`.

        Raises:
            InputError: These are not the values of a result.
        """
        try:
            if plain["thresholds"] != THRESHOLDS:
                raise InputError(f"the result has {plain['thresholds']} thresholds instead of {THRESHOLDS}")
            return cls(
                subsets=tuple(SubsetScore.from_dict(name, each) for name, each in plain["subsets"].items()),
                missing=tuple(plain["missing"]),
                **{key: plain[key] for key in _AS_THEY_ARE},
            )
        except KeyError as error:
            raise InputError(f"is no evaluation result, {error} is missing") from None
        except (AttributeError, TypeError, ValueError, OverflowError) as error:
            raise InputError(f"is no evaluation result: {one_line(error)}") from None


_AS_THEY_ARE = (
    *("images", "partial", "boxes", "empty_images", "score_min", "score_max", "constant_scores"),
    *("iou_threshold", "protocol"),
)


def write_result(path: str | Path, result: EvaluationResult, *, curves: bool = True) -> None:
    """Write a result as JSON.

    Raises:
        InputError: The file cannot be written.
    """
    plain = result.to_dict(curves=curves)
    write_text(path, json.dumps(plain, ensure_ascii=False, allow_nan=False) + "\n")


def read_result(path: str | Path) -> EvaluationResult:
    """Read what `write_result` wrote.

    Raises:
        InputError: The file cannot be read or holds something else.
    """
    try:
        plain = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read as an evaluation result: {one_line(error)}") from None
    if not isinstance(plain, dict):
        raise InputError(f"{path}: is no evaluation result; give a file that eval-widerface --out wrote")
    try:
        return EvaluationResult.from_dict(plain)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def ap_drops(result: EvaluationResult, against: EvaluationResult) -> dict[str, float]:
    """By how many points (hundredths) the AP of each subset fell; negative where it rose.

    Raises:
        InputError: The two cannot be compared: other protocol, images, faces or IoU threshold.
    """
    for what, first, second in (
        ("protocol", result.protocol_text, against.protocol_text),
        ("images", result.images, against.images),
        ("faces", result.faces, against.faces),
        ("IoU threshold", result.iou_threshold, against.iou_threshold),
    ):
        if first != second:
            raise InputError(f"the results cannot be compared, their {what} differ: {first} and {second}")
    old = against.ap
    return {
        name: 100 * (before - now)
        for name, now in result.ap.items()
        if now is not None and (before := old[name]) is not None
    }
