"""Labelled faces of one image, with what is not known about them kept as masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ffcore.errors import ConfigError
from ffcore.faces import MIRRORED_LANDMARKS


@dataclass(frozen=True, eq=False)
class LabelledFaces:
    """G faces that somebody marked in one image, in pixels of that image.

    Args:
        boxes: (G, 4) float32, xyxy, each with an area; boxes may reach beyond the image.
        landmarks: (G, 5, 2) float32, x y of `ffcore.faces.LANDMARK_NAMES`. Rows of faces without
            landmarks are set to 0 whenever the value is made, so that no −1 can travel with them.
        has_landmarks: (G,) bool.
        ignore: (G,) bool: faces that are neither to be found nor background.
        weights: (G,) float32, 0..1: how much a face counts, its share where images are mixed.

    Raises:
        ConfigError: Shapes disagree, a value is not finite, a box has no area, or a weight is outside 0..1.
    """

    boxes: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    has_landmarks: NDArray[np.bool_]
    ignore: NDArray[np.bool_]
    weights: NDArray[np.float32]

    def __post_init__(self) -> None:
        boxes = np.asarray(self.boxes, np.float32)
        has_landmarks = np.asarray(self.has_landmarks, np.bool_)
        landmarks = np.asarray(self.landmarks, np.float32)
        ignore = np.asarray(self.ignore, np.bool_)
        weights = np.asarray(self.weights, np.float32)
        n = len(boxes)
        shapes = (boxes.shape, landmarks.shape, has_landmarks.shape, ignore.shape, weights.shape)
        if shapes != ((n, 4), (n, 5, 2), (n,), (n,), (n,)):
            raise ConfigError(
                "labelled faces need boxes (G, 4), landmarks (G, 5, 2), has_landmarks, ignore and weights "
                f"(G,); got {', '.join(map(str, shapes))}"
            )
        if not has_landmarks.all():
            landmarks = np.where(has_landmarks[:, None, None], landmarks, np.float32(0))
        if not (np.isfinite(boxes).all() and np.isfinite(landmarks).all()):
            raise ConfigError("labelled faces hold a coordinate that is not finite")
        if not (boxes[:, 2:] > boxes[:, :2]).all():
            raise ConfigError("a labelled face has a box without area")
        if not ((weights >= 0) & (weights <= 1)).all():
            raise ConfigError("the weight of a labelled face is outside 0..1")
        for name, value in (
            ("boxes", boxes),
            ("landmarks", landmarks),
            ("has_landmarks", has_landmarks),
            ("ignore", ignore),
            ("weights", weights),
        ):
            object.__setattr__(self, name, value)

    @classmethod
    def of(
        cls,
        boxes: Any,
        *,
        landmarks: Any = None,
        has_landmarks: Any = None,
        ignore: Any = None,
    ) -> LabelledFaces:
        """Faces of full weight from what is known.

        Args:
            boxes: (G, 4) xyxy, anything that becomes such an array; empty for no faces.
            landmarks: (G, 5, 2), or None when no face has any.
            has_landmarks: (G,) bool; by default all, if landmarks are given.
            ignore: (G,) bool; by default none.
        """
        boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
        n = len(boxes)
        known = landmarks is not None
        return cls(
            boxes=boxes,
            landmarks=np.asarray(landmarks if known else np.zeros(10 * n), np.float32).reshape(-1, 5, 2),
            has_landmarks=np.full(n, known) if has_landmarks is None else has_landmarks,
            ignore=np.zeros(n, np.bool_) if ignore is None else ignore,
            weights=np.ones(n, np.float32),
        )

    @classmethod
    def concatenate(cls, parts: Sequence[LabelledFaces]) -> LabelledFaces:
        """All faces of `parts`, in their order."""
        if not parts:
            return cls.of([])
        return cls(
            boxes=np.concatenate([part.boxes for part in parts]),
            landmarks=np.concatenate([part.landmarks for part in parts]),
            has_landmarks=np.concatenate([part.has_landmarks for part in parts]),
            ignore=np.concatenate([part.ignore for part in parts]),
            weights=np.concatenate([part.weights for part in parts]),
        )

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, chosen: NDArray[Any] | slice) -> LabelledFaces:
        """Faces chosen by a boolean mask, an array of numbers or a slice."""
        return LabelledFaces(
            boxes=self.boxes[chosen],
            landmarks=self.landmarks[chosen],
            has_landmarks=self.has_landmarks[chosen],
            ignore=self.ignore[chosen],
            weights=self.weights[chosen],
        )

    @property
    def centres(self) -> NDArray[np.float32]:
        """(G, 2) float32: x y of the middle of each box."""
        return (self.boxes[:, :2] + self.boxes[:, 2:]) / np.float32(2)

    def moved(self, *, scale: tuple[float, float], shift: tuple[float, float]) -> LabelledFaces:
        """The same faces in another frame: every x becomes ``x * scale[0] + shift[0]``, likewise y.

        Faces whose box is too small to keep an area in the new frame are left out.
        """
        factor, offset = np.array(scale), np.array(shift)
        boxes = (self.boxes.reshape(-1, 2, 2) * factor + offset).reshape(-1, 4).astype(np.float32)
        landmarks = (self.landmarks * factor + offset).astype(np.float32)
        return self._with_geometry(boxes, landmarks)

    def mirrored(self, width: float, *, box_offset: float = 0.0) -> LabelledFaces:
        """The same faces in the image that a mirror shows: left and right landmarks change places.

        Args:
            width: Of the image, pixels.
            box_offset: How many pixels boxes, not landmarks, lie left of what they mean. In the mirror they
                would lie as much to its right, and are moved so that they lie to its left again.
        """
        x1, y1, x2, y2 = self.boxes.T
        points = self.landmarks[:, MIRRORED_LANDMARKS]
        axis = width - 2 * box_offset
        boxes = np.stack([axis - x2, y1, axis - x1, y2], axis=1).astype(np.float32)
        landmarks = np.stack([width - points[..., 0], points[..., 1]], axis=-1).astype(np.float32)
        return self._with_geometry(boxes, landmarks)

    def turned(self, matrix: NDArray[np.float64]) -> LabelledFaces:
        """The same faces in a picture that was turned.

        The box of a turned face is taken to be that of the ellipse that filled the old one, turned with it:
        heads are round, so the box around the turned corners would be too large by up to two fifths.

        Args:
            matrix: (2, 3) of a rotation without shear, from old to new pixels, as ``cv2.getRotationMatrix2D``
                makes it.
        """
        turn, shift = matrix[:, :2], matrix[:, 2]
        centres = self.centres @ turn.T + shift
        half = np.sqrt(((self.boxes[:, 2:] - self.boxes[:, :2]) / 2) ** 2 @ (turn**2).T)
        boxes = np.concatenate([centres - half, centres + half], axis=1).astype(np.float32)
        return self._with_geometry(boxes, (self.landmarks @ turn.T + shift).astype(np.float32))

    def clipped(self, window: tuple[float, float, float, float]) -> LabelledFaces:
        """The same faces with boxes cut at a window; those outside it are left out, landmarks stay.

        Args:
            window: x1 y1 x2 y2 in pixels.
        """
        x1, y1, x2, y2 = window
        boxes = np.clip(
            self.boxes, np.array([x1, y1, x1, y1], np.float32), np.array([x2, y2, x2, y2], np.float32)
        )
        return self._with_geometry(boxes, self.landmarks)

    def weighted(self, share: float | NDArray[np.bool_]) -> LabelledFaces:
        """The same faces, each counting `share` (0..1, one for all or (G,)) of what it did."""
        return replace(self, weights=self.weights * np.asarray(share, np.float32))

    def _with_geometry(self, boxes: NDArray[np.float32], landmarks: NDArray[np.float32]) -> LabelledFaces:
        kept = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        return LabelledFaces(
            boxes=boxes[kept],
            landmarks=landmarks[kept],
            has_landmarks=self.has_landmarks[kept],
            ignore=self.ignore[kept],
            weights=self.weights[kept],
        )


@dataclass(frozen=True, eq=False)
class AnnotatedImage:
    """One image file and its labelled faces.

    Args:
        name: As the labels call it, ``event/name.jpg``.
        path: The file.
        faces: In pixels of the upright image.
        labelled: Whether the labels name all faces; false where some or all may be missing, so that nothing
            in the image is known to be background.
    """

    name: str
    path: Path
    faces: LabelledFaces
    labelled: bool = True

    @property
    def event(self) -> str:
        """The folder that the name begins with; empty for an image in no folder."""
        parts = PurePosixPath(self.name).parts
        return parts[0] if len(parts) > 1 else ""
