"""The result of detection: one value type that every part of the package hands on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ffcore.errors import ConfigError

LANDMARK_NAMES = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")
"""The five landmarks in order, left and right as the viewer sees them."""

MIRRORED_LANDMARKS = (1, 0, 2, 4, 3)
"""Which landmark each one becomes when the image is mirrored."""


@dataclass(frozen=True, eq=False)
class Faces:
    """N faces of one image, in pixels of that image.

    Args:
        boxes: (N, 4) float32, x1 y1 x2 y2; the image spans 0..W and 0..H, boxes may reach beyond it.
        scores: (N,) float32, 0..1.
        landmarks: (N, 5, 2) float32, x y of `LANDMARK_NAMES`.

    Raises:
        ConfigError: Shapes disagree or a value is not finite.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    landmarks: NDArray[np.float32]

    def __post_init__(self) -> None:
        boxes = np.asarray(self.boxes, dtype=np.float32)
        scores = np.asarray(self.scores, dtype=np.float32)
        landmarks = np.asarray(self.landmarks, dtype=np.float32)
        n = scores.shape[0] if scores.ndim == 1 else -1
        if n < 0 or boxes.shape != (n, 4) or landmarks.shape != (n, 5, 2):
            raise ConfigError(
                "faces need boxes (N, 4), scores (N,) and landmarks (N, 5, 2); got "
                f"{boxes.shape}, {scores.shape} and {landmarks.shape}"
            )
        if not (np.isfinite(boxes).all() and np.isfinite(scores).all() and np.isfinite(landmarks).all()):
            raise ConfigError("faces hold a value that is not finite")
        for name, value in (("boxes", boxes), ("scores", scores), ("landmarks", landmarks)):
            object.__setattr__(self, name, value)

    @classmethod
    def empty(cls) -> Faces:
        """No face at all."""
        return cls(
            boxes=np.zeros((0, 4), np.float32),
            scores=np.zeros(0, np.float32),
            landmarks=np.zeros((0, 5, 2), np.float32),
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Faces]) -> Faces:
        """All faces of `parts`, in their order."""
        if not parts:
            return cls.empty()
        return cls(
            boxes=np.concatenate([part.boxes for part in parts]),
            scores=np.concatenate([part.scores for part in parts]),
            landmarks=np.concatenate([part.landmarks for part in parts]),
        )

    def __len__(self) -> int:
        return int(self.scores.shape[0])

    def __getitem__(self, index: int | slice | ArrayLike) -> Faces:
        """Faces chosen by a number, a slice, an array of numbers or a boolean mask."""
        chosen: Any = [index] if isinstance(index, int | np.integer) else index
        if isinstance(chosen, list) and not chosen:
            chosen = np.zeros(0, np.intp)  # an empty list would become a float index
        return Faces(boxes=self.boxes[chosen], scores=self.scores[chosen], landmarks=self.landmarks[chosen])

    def __iter__(self) -> Iterator[Faces]:
        return (self[i] for i in range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Faces):
            return NotImplemented
        return (
            np.array_equal(self.boxes, other.boxes)
            and np.array_equal(self.scores, other.scores)
            and np.array_equal(self.landmarks, other.landmarks)
        )

    __hash__ = None  # type: ignore[assignment]  # arrays can change

    @property
    def sizes(self) -> NDArray[np.float32]:
        """(N, 2) float32: width and height of each box in pixels."""
        return self.boxes[:, 2:] - self.boxes[:, :2]

    def above(self, score: float) -> Faces:
        """The faces whose score is greater than `score`."""
        return self[self.scores > score]

    def by_score(self) -> Faces:
        """The same faces, highest score first; equal scores keep their order."""
        return self[np.argsort(-self.scores, kind="stable")]

    def transformed(
        self, *, scale: float | tuple[float, float] = 1.0, shift: tuple[float, float] = (0.0, 0.0)
    ) -> Faces:
        """The same faces in another frame: every x becomes ``x * scale + shift``, likewise y.

        Args:
            scale: One factor, or one for x and one for y.
            shift: Pixels added to x and to y after scaling.
        """
        sx, sy = scale if isinstance(scale, tuple) else (scale, scale)
        factor = np.array([sx, sy], np.float32)
        offset = np.array(shift, np.float32)
        return Faces(
            boxes=(self.boxes.reshape(-1, 2, 2) * factor + offset).reshape(-1, 4),
            scores=self.scores,
            landmarks=self.landmarks * factor + offset,
        )

    def mirrored(self, width: float) -> Faces:
        """The same faces in the image that a mirror shows: left and right landmarks change places.

        Args:
            width: Of the image, pixels.
        """
        x1, y1, x2, y2 = self.boxes.T
        points = self.landmarks[:, MIRRORED_LANDMARKS]
        return Faces(
            boxes=np.stack([width - x2, y1, width - x1, y2], axis=1),
            scores=self.scores,
            landmarks=np.stack([width - points[..., 0], points[..., 1]], axis=-1),
        )

    def clipped(self, width: int, height: int) -> Faces:
        """The same faces with boxes cut at the borders of a `width` × `height` image.

        Landmarks stay where they are: a guess beyond the border is information.
        """
        limit = np.array([width, height, width, height], np.float32)
        return Faces(boxes=np.clip(self.boxes, 0, limit), scores=self.scores, landmarks=self.landmarks)
