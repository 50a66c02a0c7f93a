"""From counts at 1,000 thresholds to precision, recall and their area: rules 9 to 12 of the evaluation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ffcore.errors import ConfigError

THRESHOLDS = 1000
"""How many thresholds the curve has."""


def thresholds() -> NDArray[np.float64]:
    """(1000,) float64, from 0.999 down to 0, formed as 1 - (t + 1) / 1000.

    (999 - t) / 1000 would differ in the last bit: the threshold after 0.301 is slightly above 0.3.
    """
    return 1 - np.arange(1, THRESHOLDS + 1) / THRESHOLDS


@dataclass(frozen=True, eq=False)
class Curve:
    """How many boxes and faces a subset has above each threshold, over all its images.

    Args:
        proposals: (1000,) int64, boxes that count, right or wrong.
        recalled: (1000,) int64, kept faces that are found.
        faces: All kept faces.

    Raises:
        ConfigError: The counts cannot be those of one set.
    """

    proposals: NDArray[np.int64]
    recalled: NDArray[np.int64]
    faces: int

    def __post_init__(self) -> None:
        for counts in (self.proposals, self.recalled):
            if counts.shape != (THRESHOLDS,) or (np.diff(counts, prepend=0) < 0).any():
                raise ConfigError(f"a curve has {THRESHOLDS} counts that never fall")
        if (self.recalled > self.proposals).any() or self.recalled[-1] > self.faces:
            raise ConfigError("a curve cannot find more faces than it has boxes or faces")

    @property
    def precision(self) -> NDArray[np.float64]:
        """(1000,) recalled / proposals; 0 where nothing is proposed."""
        result = np.zeros(THRESHOLDS)
        np.divide(self.recalled, self.proposals, out=result, where=self.proposals > 0)
        return result

    @property
    def recall(self) -> NDArray[np.float64]:
        """(1000,) recalled / faces; 0 where there are no faces."""
        return self.recalled / max(self.faces, 1)

    @property
    def average_precision(self) -> float | None:
        """Area below the curve, 0..1; None where there are no faces, which is neither 0 nor 1.

        Each precision is first raised to the best one at the same or a higher recall. Beyond the last
        recall the precision is 0.
        """
        if not self.faces:
            return None
        recall = np.concatenate([[0.0], self.recall, [1.0]])
        precision = np.concatenate([[0.0], self.precision, [0.0]])
        best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
        return float(np.sum(np.diff(recall) * best_from_here[1:]))

    def recall_at_precision(self, precision: float) -> float | None:
        """The highest recall, 0..1, at any threshold with at least this precision.

        Args:
            precision: Above 0 and up to 1.

        Returns:
            0 where no threshold is that precise, None where there are no faces.
        """
        if not 0 < precision <= 1:
            raise ConfigError(f"precision = {precision}: must be above 0 and at most 1")
        if not self.faces:
            return None
        return float(np.max(self.recall, where=self.precision >= precision, initial=0.0))
