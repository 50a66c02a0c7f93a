"""What keeps a detector from a higher AP: its mistakes by kind, and what each kind costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ffcore.errors import ConfigError, did_you_mean
from ffcore.evaluation.curve import THRESHOLDS
from ffcore.evaluation.matching import Matches, first_on_face, match
from ffcore.evaluation.scoring import Matched

NEAR = 0.1
"""IoU from which a box is about a face, though badly placed; below, it is about none (TIDE, section 2.2)."""

KINDS: Mapping[str, str] = {
    "misplaced": "box on a face of the subset, overlapping too little",
    "beside ignored": "the same on a face that the subset ignores",
    "background": "box on no face",
    "duplicate": "second box on a face",
    "missed": "face without any box",
}
"""Kinds of mistake, with what they are."""


@dataclass(frozen=True)
class Mistake:
    """One kind of mistake.

    Args:
        kind: One of `KINDS`.
        count: Boxes from the best score on; of "missed", faces that no box of any score is about.
        cost: AP that is lost by it, 0..1: how much higher it would be were nothing of this kind there.
    """

    kind: str
    count: int
    cost: float


@dataclass(frozen=True)
class Mistakes:
    """All mistakes on one subset.

    Args:
        subset: Its name.
        ap: Its AP, 0..1.
        score: The best score, not normalised: from which on precision and recall have the largest harmonic
            mean (F1).
        precision: There.
        recall: There.
        kinds: One of each of `KINDS`.
    """

    subset: str
    ap: float
    score: float
    precision: float
    recall: float
    kinds: tuple[Mistake, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "ap": self.ap,
            "best_score": self.score,
            "precision": self.precision,
            "recall": self.recall,
            "kinds": {each.kind: {"count": each.count, "cost": each.cost} for each in self.kinds},
        }


def mistakes(matched: Matched, subset: str) -> Mistakes | None:
    """Sorts what is wrong into kinds, and asks of each what the AP would be without it.

    Every box that counts against the subset is of one kind. To see what a kind costs, its boxes are taken
    away; those on faces of the subset move onto their face instead, where the box with the highest score
    stays; and missed faces are taken from those that are to be found. Costs do not add up to what the AP
    lacks: the precision at a recall depends on all kinds together.

    Source: Bolya et al. 2020, TIDE: A General Toolbox for Identifying Object Detection Errors (ECCV), without
    its classes; boxes beside ignored faces, which WIDER FACE counts as false, are a kind here.

    Args:
        matched: The predictions.
        subset: Whose kept faces are to be found.

    Returns:
        None where the subset keeps no face.

    Raises:
        ConfigError: There is no such subset.
    """
    truth = matched.ground_truth
    if subset not in truth.kept:
        raise ConfigError(f"subset = {subset!r}: {did_you_mean(subset, truth.kept)}")
    kept = truth.kept[subset]
    curve = matched.curve(kept)
    if not curve.faces:
        return None
    counted = matched.entry < THRESHOLDS
    face, first = matched.matches.face, matched.matches.first
    near = match(truth, matched.predictions, iou_threshold=min(NEAR, matched.iou_threshold)).face
    false, about = counted & (face < 0), near >= 0
    kinds = {
        "misplaced": false & about & kept[near],
        "beside ignored": false & about & ~kept[near],
        "background": false & ~about,
        "duplicate": counted & (face >= 0) & kept[face] & ~first,
    }
    touched = np.zeros(len(kept), bool)
    touched[near[kinds["misplaced"]]] = touched[face[counted & (face >= 0)]] = True
    missed = kept & ~touched
    without = {kind: matched.without(boxes) for kind, boxes in kinds.items()}
    without["misplaced"] = _moved(matched, kinds["misplaced"], near)

    ap = curve.average_precision or 0.0
    best = int(np.argmax(2 * curve.recalled / np.maximum(curve.proposals + curve.faces, 1)))
    low, high = matched.score_range
    found = []
    for kind in KINDS:
        if kind == "missed":
            count, better = int(missed.sum()), matched.curve(kept & ~missed)
        else:
            count, better = int((matched.entry[kinds[kind]] <= best).sum()), without[kind].curve(kept)
        # were all faces missed, none is left to be found, and nothing else would be wrong
        cost = (1.0 if better.average_precision is None else better.average_precision) - ap
        found.append(Mistake(kind, count, cost))
    return Mistakes(
        subset=subset,
        ap=ap,
        score=low + (high - low) * (1 - (best + 1) / THRESHOLDS),
        precision=float(curve.precision[best]),
        recall=float(curve.recall[best]),
        kinds=tuple(found),
    )


def _moved(matched: Matched, boxes: NDArray[np.bool_], onto: NDArray[np.int64]) -> Matched:
    """The same as if these boxes were well placed; a face keeps its best box, and duplicates of before."""
    face = np.where(boxes, onto, matched.matches.face)
    first = first_on_face(face, matched.predictions.scores)
    late = (boxes | matched.matches.first) & ~first
    return replace(matched, matches=Matches(face, first)).without(late)
