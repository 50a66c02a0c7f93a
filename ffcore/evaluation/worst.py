"""The images on which a detector does worst, so that a person can look at them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ffcore.errors import ConfigError, did_you_mean
from ffcore.evaluation.scoring import Matched


@dataclass(frozen=True, eq=False)
class ImageErrors:
    """What went wrong on one image, at one score.

    Args:
        image: ``event/name``.
        missed: (M, 4) float64, x y w h in pixels, kept faces without a box.
        false: (F, 4) float64, likewise, boxes on no face or on one that has a better box.
        false_scores: (F,) float64, their scores.
    """

    image: str
    missed: NDArray[np.float64]
    false: NDArray[np.float64]
    false_scores: NDArray[np.float64]


def worst_images(matched: Matched, subset: str, *, at_score: float, most: int = 20) -> list[ImageErrors]:
    """Images by the number of missed faces and false boxes together, the worst first.

    Args:
        matched: The predictions.
        subset: Whose kept faces can be missed; boxes on ignored faces are no errors.
        at_score: The score, not normalised, from which a box counts.
        most: How many images at most.

    Returns:
        Only images with an error; of equals, the one that comes first in the ground truth.

    Raises:
        ConfigError: There is no such subset.
    """
    truth, predictions, matches = matched.ground_truth, matched.predictions, matched.matches
    if subset not in truth.kept:
        raise ConfigError(f"subset = {subset!r}: {did_you_mean(subset, truth.kept)}")
    kept = truth.kept[subset]
    counts = predictions.scores >= at_score
    on_face = matches.face >= 0
    found = np.zeros(len(kept), bool)
    found[matches.face[counts & on_face]] = True
    missed = kept & ~found
    false = counts & ~on_face
    false[on_face] |= (counts & ~matches.first)[on_face] & kept[matches.face[on_face]]
    # boxes in images without any row are not counted by the evaluation either
    false &= np.repeat(truth.face_counts > 0, np.diff(predictions.offsets))
    errors = _per_image(missed, truth.offsets) + _per_image(false, predictions.offsets)
    order = np.argsort(-errors, kind="stable")[:most]
    worst = []
    for number in order[errors[order] > 0].tolist():
        rows = slice(*truth.offsets[number : number + 2].tolist())
        mine = slice(*predictions.offsets[number : number + 2].tolist())
        worst.append(
            ImageErrors(
                image=truth.images[number],
                missed=truth.boxes[rows][missed[rows]],
                false=predictions.boxes[mine][false[mine]],
                false_scores=predictions.scores[mine][false[mine]],
            )
        )
    return worst


def _per_image(mask: NDArray[np.bool_], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """(I,) int64: how many rows of each image the mask holds."""
    sums = np.concatenate([[0], np.cumsum(mask)])
    result: NDArray[np.int64] = sums[offsets[1:]] - sums[offsets[:-1]]
    return result
