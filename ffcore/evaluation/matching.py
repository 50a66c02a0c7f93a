"""Which face each predicted box falls on, for all images at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ffcore.errors import ConfigError
from ffcore.evaluation.ground_truth import GroundTruth
from ffcore.evaluation.predictions import Predictions

_PAIRS_AT_ONCE = 1 << 17
"""Pairs of box and face in one step: small enough for the cache, and a bound on the memory."""


@dataclass(frozen=True, eq=False)
class Matches:
    """The best face of every box, the same for all subsets.

    Args:
        face: (P,) int64, the row of that face in ``GroundTruth.boxes``, or -1 where no face overlaps enough.
        first: (P,) bool, the box is the first on its face, by score and then by place in the file.
    """

    face: NDArray[np.int64]
    first: NDArray[np.bool_]


def match(ground_truth: GroundTruth, predictions: Predictions, *, iou_threshold: float = 0.5) -> Matches:
    """Give each box to the face of its image that it overlaps most.

    Faces that already have a box stay in the competition, and there is no second choice. Of two
    faces with the same overlap the one with the lower row wins.

    Args:
        ground_truth: The faces; kept or ignored plays no part.
        predictions: Boxes of the same images.
        iou_threshold: The smallest overlap that counts, above 0 and up to 1; equality counts.

    Raises:
        ConfigError: The threshold is out of range, or the predictions are those of other images.
    """
    if not 0 < iou_threshold <= 1:
        raise ConfigError(f"iou_threshold = {iou_threshold}: must be above 0 and at most 1")
    if predictions.images != ground_truth.images:
        raise ConfigError("the predictions are not those of the images of this ground truth, in its order")
    with np.errstate(
        over="ignore", invalid="ignore"
    ):  # coordinates near the end of double: infinite sides, overlap 0
        box, face, iou = _overlapping(ground_truth, predictions, iou_threshold)
    best = np.full(len(predictions.scores), -1, dtype=np.int64)
    order = np.lexsort((face, -iou, box))
    box, face = box[order], face[order]
    leads = np.ones(len(box), bool)
    leads[1:] = box[1:] != box[:-1]
    best[box[leads]] = face[leads]
    return Matches(face=best, first=first_on_face(best, predictions.scores))


def paired_iou(boxes: NDArray[np.float64], faces: NDArray[np.float64]) -> NDArray[np.float64]:
    """Overlap of each box with the face in the same row, as the evaluation counts it.

    The arithmetic is that of ``pairwise_iou(inclusive=True)``: sides are ``x2 - x1 + 1``.

    Args:
        boxes: (N, 4) float64, xyxy, pixels, where x2 is the rounded sum of x and w.
        faces: (N, 4) float64, likewise.

    Returns:
        (N,) float64; 0 where a side of the intersection is 0 or below.
    """
    (bx, by, bx2, by2), (fx, fy, fx2, fy2) = boxes.T, faces.T
    width = np.minimum(bx2, fx2) - np.maximum(bx, fx) + 1
    height = np.minimum(by2, fy2) - np.maximum(by, fy) + 1
    overlap = (width > 0) & (height > 0)
    shared = width * height
    union = (bx2 - bx + 1) * (by2 - by + 1) + (fx2 - fx + 1) * (fy2 - fy + 1) - shared
    result: NDArray[np.float64] = np.divide(shared, union, out=np.zeros_like(shared), where=overlap)
    return result


def _overlapping(
    truth: GroundTruth, predictions: Predictions, threshold: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """All pairs (box, face, IoU) of the same image whose IoU reaches the threshold.

    An IoU of t needs an intersection at least t times as wide as either box. With W the width of the
    box, the face therefore begins no further right of the box than (1 - t) W and no further left than
    (1 / t - 1) W. Faces are sorted by where they begin, so those are a range. In crowded images this
    leaves a few in a hundred of the pairs.
    """
    boxes, faces = _corners(predictions.boxes), _corners(truth.boxes)
    image_of_face = np.repeat(np.arange(len(truth.images)), truth.face_counts)
    image_of_box = np.repeat(np.arange(len(truth.images)), np.diff(predictions.offsets))
    left_to_right = np.lexsort((faces[:, 0], image_of_face))
    place = _place(image_of_face, faces[:, 0])[left_to_right]
    left, width = boxes[:, 0], boxes[:, 2] - boxes[:, 0] + 1
    slack = 1 + 1e-9 * (np.abs(left) + np.abs(width))  # the bound holds for real numbers, these are rounded
    start = np.searchsorted(place, _place(image_of_box, left - (1 / threshold - 1) * width - slack), "left")
    stop = np.searchsorted(place, _place(image_of_box, left + (1 - threshold) * width + slack), "right")
    counts = np.maximum(stop - start, 0)
    ends = np.cumsum(counts)
    parts = []
    first = 0
    while first < len(boxes):
        done = int(ends[first - 1]) if first else 0
        last = max(int(np.searchsorted(ends, done + _PAIRS_AT_ONCE, "right")), first + 1)
        some = counts[first:last]
        box = np.repeat(np.arange(first, last), some)
        step = np.arange(len(box)) - np.repeat(ends[first:last] - some - done, some)
        face = left_to_right[start[box] + step]
        iou = paired_iou(boxes[box], faces[face])
        enough = iou >= threshold
        parts.append((box[enough], face[enough], iou[enough]))
        first = last
    if not parts:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    box, face, iou = (np.concatenate(each) for each in zip(*parts, strict=True))
    return box, face, iou


def _corners(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    corners = boxes.copy()
    corners[:, 2:] += boxes[:, :2]
    return corners


def _place(image: NDArray[np.int64], x: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Image and x as one sortable number: NumPy orders complex numbers by real part, then imaginary."""
    place = np.empty(len(x), dtype=np.complex128)
    place.real, place.imag = image, x
    return place


def first_on_face(face: NDArray[np.int64], scores: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which box is the first on its face, by score and then by place in the file.

    Args:
        face: (P,) int64, the face of each box, or -1.
        scores: (P,) float64.

    Returns:
        (P,) bool, False for boxes on no face.
    """
    first = np.zeros(len(face), bool)
    matched = np.flatnonzero(face >= 0)
    order = matched[np.lexsort((-scores[matched], face[matched]))]  # stable: equal scores as in the file
    leads = np.ones(len(order), bool)
    leads[1:] = face[order[1:]] != face[order[:-1]]
    first[order[leads]] = True
    return first
