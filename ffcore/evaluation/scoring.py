"""Average precision by the rules of WIDER FACE, for its three subsets or any others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ffcore.errors import ConfigError
from ffcore.evaluation.curve import THRESHOLDS, Curve, thresholds
from ffcore.evaluation.ground_truth import GroundTruth
from ffcore.evaluation.matching import Matches, match
from ffcore.evaluation.predictions import Predictions
from ffcore.evaluation.result import EvaluationResult, SubsetScore


@dataclass(frozen=True, eq=False)
class Matched:
    """Predictions with everything that no subset changes, so that many subsets cost little.

    Args:
        ground_truth: The faces.
        predictions: The boxes.
        matches: The face of each box.
        entry: (P,) int64, the first threshold that each box passes; `THRESHOLDS` if it passes none.
        score_range: The scores that are normalised to 0 and 1.
        iou_threshold: The smallest overlap that counts.
    """

    ground_truth: GroundTruth
    predictions: Predictions
    matches: Matches
    entry: NDArray[np.int64]
    score_range: tuple[float, float]
    iou_threshold: float

    @property
    def constant_scores(self) -> bool:
        """Whether all scores are the same value, so that no box passes any threshold."""
        return len(self.entry) > 0 and self.score_range[0] == self.score_range[1]

    def curve(self, kept: NDArray[np.bool_], *, images: NDArray[np.bool_] | None = None) -> Curve:
        """Counts at all thresholds.

        Args:
            kept: (G,) bool, the faces to be found; a box on another face is neither right nor wrong.
            images: (I,) bool, the images to count; all by default.
        """
        face, first, entry = self.matches.face, self.matches.first, self.entry
        if images is not None:
            kept = kept & np.repeat(images, self.ground_truth.face_counts)
            mine = np.repeat(images, np.diff(self.predictions.offsets))
            face, first, entry = face[mine], first[mine], entry[mine]
        if not len(kept):  # images without any row add nothing
            return Curve(np.zeros(THRESHOLDS, np.int64), np.zeros(THRESHOLDS, np.int64), faces=0)
        right = (face >= 0) & kept[face]
        counts = (face < 0) | right
        return Curve(_up_to(entry[counts]), _up_to(entry[right & first]), faces=int(kept.sum()))

    def without(self, boxes: NDArray[np.bool_]) -> Matched:
        """The same as if some boxes, (P,) bool, were not there; scores stay normalised as they were."""
        return replace(self, entry=np.where(boxes, THRESHOLDS, self.entry))


def match_predictions(
    ground_truth: GroundTruth, predictions: Predictions, *, iou_threshold: float = 0.5
) -> Matched:
    """Match boxes to faces and normalise the scores over the whole set.

    Raises:
        ConfigError: The predictions are those of other images, or the threshold is out of range.
    """
    matches = match(ground_truth, predictions, iou_threshold=iou_threshold)
    scores = predictions.scores
    low, high = float(scores.min(initial=1.0)), float(scores.max(initial=0.0))
    with np.errstate(all="ignore"):  # 0 / 0 where all scores are equal: not a number, passes nothing
        normalised = (scores - low) / (high - low)
    rising = thresholds()[::-1]
    entry = THRESHOLDS - np.searchsorted(rising, normalised, side="right")
    without_rows = np.repeat(ground_truth.face_counts == 0, np.diff(predictions.offsets))
    entry[np.isnan(normalised) | without_rows] = THRESHOLDS
    return Matched(
        ground_truth=ground_truth,
        predictions=predictions,
        matches=matches,
        entry=entry,
        score_range=(low, high),
        iou_threshold=iou_threshold,
    )


def evaluate(
    ground_truth: GroundTruth,
    predictions: Predictions,
    *,
    iou_threshold: float = 0.5,
    protocol: Mapping[str, Any] | None = None,
) -> EvaluationResult:
    """Score predictions on every subset of the ground truth.

    Args:
        ground_truth: The faces and the subsets.
        predictions: Boxes of the same images, in the same order.
        iou_threshold: The smallest overlap that counts; published numbers use 0.5.
        protocol: How the predictions were made (image size, score cut-off, boxes kept, …), as plain
            values. It is recorded, and decides which results may stand side by side.

    Raises:
        ConfigError: The predictions are those of other images, or the threshold is out of range.
    """
    return score(match_predictions(ground_truth, predictions, iou_threshold=iou_threshold), protocol=protocol)


def score(matched: Matched, *, protocol: Mapping[str, Any] | None = None) -> EvaluationResult:
    """As `evaluate`, for predictions that are matched already."""
    truth, predictions = matched.ground_truth, matched.predictions
    counts = np.diff(predictions.offsets)
    return EvaluationResult(
        subsets=tuple(SubsetScore.of(name, matched.curve(kept)) for name, kept in truth.kept.items()),
        images=len(truth.images),
        partial=truth.partial,
        boxes=len(predictions.scores),
        empty_images=int((counts == 0).sum()),
        score_min=matched.score_range[0],
        score_max=matched.score_range[1],
        constant_scores=matched.constant_scores,
        missing=predictions.missing,
        iou_threshold=matched.iou_threshold,
        protocol=dict(protocol) if protocol is not None else None,
    )


def score_by_event(matched: Matched) -> dict[str, tuple[SubsetScore, ...]]:
    """Every subset on the images of each event alone; scores stay normalised over the whole set."""
    truth = matched.ground_truth
    events = np.array(truth.events, dtype=object)
    return {
        event: tuple(
            SubsetScore.of(name, matched.curve(kept, images=events == event))
            for name, kept in truth.kept.items()
        )
        for event in dict.fromkeys(truth.events)
    }


def score_by_height(
    matched: Matched, *, edges: Sequence[float] = (10, 15, 20, 30, 50, 100, 200), within: str | None = None
) -> tuple[SubsetScore, ...]:
    """One score for each band of face height; faces of other heights are ignored.

    Args:
        matched: The predictions.
        edges: Heights in pixels where one band ends and the next begins, rising; the first band
            starts at 0 and the last has no end.
        within: The subset whose faces are divided; by default those that any subset keeps.

    Raises:
        ConfigError: The edges do not rise, or there is no such subset.
    """
    truth = matched.ground_truth
    if any(second <= first for first, second in pairwise([0, *edges])):
        raise ConfigError(f"edges = {list(edges)}: heights must rise from above 0")
    if within is not None and within not in truth.kept:
        raise ConfigError(f"within = {within!r}: choose one of {', '.join(truth.kept)}")
    kept = np.logical_or.reduce(list(truth.kept.values())) if within is None else truth.kept[within]
    height = truth.boxes[:, 3]
    bands = [*pairwise([-np.inf, *edges]), (edges[-1], np.inf)] if edges else [(-np.inf, np.inf)]
    return tuple(
        SubsetScore.of(_band(low, high), matched.curve(kept & (height >= low) & (height < high)))
        for low, high in bands
    )


def _band(low: float, high: float) -> str:
    if np.isinf(high):
        return "all" if np.isinf(low) else f"{low:g}+"
    return f"<{high:g}" if np.isinf(low) else f"{low:g}-{high:g}"


def _up_to(entry: NDArray[np.int64]) -> NDArray[np.int64]:
    """(1000,) int64: how many boxes have entered by each threshold."""
    return np.cumsum(np.bincount(entry, minlength=THRESHOLDS + 1)[:THRESHOLDS])
