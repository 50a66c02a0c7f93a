"""OpenCV: the array of faces that its ``FaceDetectorYN`` returns, so that one can stand in for the other."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ffcore.errors import ConfigError
from ffcore.faces import Faces


def to_opencv(faces: Faces) -> NDArray[np.float32]:
    """Faces as the rows that OpenCV's detector returns and its recogniser takes.

    OpenCV names the sides by the person shown and begins with the right eye, the package names them by the
    viewer and begins with the left one: both are the same point, so the order of the points is one.

    Args:
        faces: In pixels of the image.

    Returns:
        (N, 15) float32, one face a row: x y width height of the box, x y of five landmarks, score. Without
        faces (0, 15), where ``FaceDetectorYN.detect`` has None.
    """
    boxes = np.concatenate((faces.boxes[:, :2], faces.sizes), axis=1)
    return np.concatenate((boxes, faces.landmarks.reshape(-1, 10), faces.scores[:, None]), axis=1)


def from_opencv(rows: Any) -> Faces:
    """The way back, from the second value that ``FaceDetectorYN.detect`` returns.

    Args:
        rows: (N, 15) numbers as `to_opencv` has them, or None for no faces.

    Raises:
        ConfigError: The shape is another, or a value is not finite.
    """
    if rows is None:
        return Faces.empty()
    values = np.asarray(rows, np.float32)
    if values.ndim != 2 or values.shape[1] != 15:
        raise ConfigError(
            f"faces of OpenCV are rows of 15 numbers; got an array of shape {values.shape}; "
            "give the second value that FaceDetectorYN.detect returns"
        )
    low = values[:, :2]
    return Faces(
        boxes=np.concatenate((low, low + values[:, 2:4]), axis=1),
        scores=values[:, 14],
        landmarks=values[:, 4:14].reshape(-1, 5, 2),
    )
