"""Supervision: its ``Detections``, with the landmarks among their data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ffcore.errors import ConfigError, MissingDependencyError
from ffcore.faces import Faces

if TYPE_CHECKING:
    from supervision import Detections

LANDMARKS = "landmarks"
"""Under this name the landmarks stand in ``Detections.data``; they are filtered and joined with the boxes."""


def supervision_fields(faces: Faces) -> dict[str, Any]:
    """What ``supervision.Detections`` is made of, without a need for that package.

    Returns:
        ``xyxy`` (N, 4) and ``confidence`` (N,) float32, ``class_id`` (N,) zeros, and ``data`` with
        ``class_name`` (N,) and ``landmarks`` (N, 5, 2) float32.
    """
    n = len(faces)
    return {
        "xyxy": faces.boxes.copy(),
        "confidence": faces.scores.copy(),
        "class_id": np.zeros(n, np.int64),
        "data": {"class_name": np.full(n, "face"), LANDMARKS: faces.landmarks.copy()},
    }


def to_supervision(faces: Faces) -> Detections:
    """Faces as ``supervision.Detections``, for its annotators, trackers and filters.

    Raises:
        MissingDependencyError: supervision is not installed.
    """
    try:
        from supervision import Detections
    except ImportError:
        raise MissingDependencyError(
            "converting to supervision needs that package: pip install supervision"
        ) from None
    return Detections(**supervision_fields(faces))


def from_supervision(detections: Any) -> Faces:
    """The way back, from anything with the fields of ``supervision.Detections``.

    Args:
        detections: With ``xyxy``, ``confidence`` and landmarks (N, 5, 2) in ``data["landmarks"]``, which
            stay with the boxes through everything that supervision does to them.

    Raises:
        ConfigError: Scores or landmarks are missing, or shapes disagree.
    """
    if not len(detections.xyxy):  # supervision's own empty value has neither scores nor data
        return Faces.empty()
    if detections.confidence is None:
        raise ConfigError("the detections have no confidence; faces need scores")
    landmarks = detections.data.get(LANDMARKS)
    if landmarks is None:
        raise ConfigError(
            f'the detections have no landmarks; put them into data["{LANDMARKS}"] as an array (N, 5, 2)'
        )
    return Faces(boxes=detections.xyxy, scores=detections.confidence, landmarks=np.asarray(landmarks))
