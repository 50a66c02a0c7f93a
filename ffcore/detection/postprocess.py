"""From raw outputs to faces; shared by detection and evaluation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ffcore.errors import ModelError
from ffcore.faces import Faces
from ffcore.geometry.anchors import PUBLISHED, AnchorConfig, anchors
from ffcore.geometry.coder import decode_boxes, decode_landmarks
from ffcore.geometry.nms import nms


def postprocess(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    *,
    landmarks: NDArray[np.float32],
    height: int,
    width: int,
    score: float,
    nms_threshold: float,
    candidates: int | None = None,
    max_faces: int | None = None,
    config: AnchorConfig = PUBLISHED,
) -> Faces:
    """The faces in what a network said about one image.

    Only anchors above the score are decoded. The order of steps is the published one: score, top
    candidates, NMS, top faces.

    Args:
        boxes: (A, 4) float32, raw offsets.
        scores: (A,) float32, probability of a face.
        landmarks: (A, 10) float32, raw offsets.
        height: Of the network's input, pixels.
        width: Of the network's input, pixels.
        score: Faces must have more than this.
        nms_threshold: See `ffcore.geometry.nms`.
        candidates: At most so many, the best, go into NMS; None for all.
        max_faces: At most so many, the best, come out; None for all.
        config: The network's anchors.

    Returns:
        Faces by descending score in pixels of the input, not clipped to it.

    Raises:
        ModelError: The outputs are not finite or do not belong to an input of this size.
    """
    table = anchors(height, width, config)
    if (
        boxes.shape != (len(table), 4)
        or scores.shape != table.shape[:1]
        or landmarks.shape != (len(table), 10)
    ):
        raise ModelError(
            f"the network gave {boxes.shape}, {scores.shape} and {landmarks.shape} for {height} x {width} "
            f"pixels, which have {len(table)} anchors"
        )
    if not np.isfinite(scores).all():
        raise ModelError("the network gave scores that are not numbers; its weights or the file are damaged")
    chosen = np.flatnonzero(scores > score)
    # Stable, so that equal scores keep the order of the anchors on every machine.
    chosen = chosen[np.argsort(-scores[chosen], kind="stable")][:candidates]
    pixels = table[chosen] * np.array([width, height, width, height], np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # found by the check below
        found = decode_boxes(boxes[chosen], pixels, variances=config.variances)
        points = decode_landmarks(landmarks[chosen], pixels, variances=config.variances)
    if not (np.isfinite(found).all() and np.isfinite(points).all()):
        raise ModelError("the network gave boxes that are not finite; its weights or the file are damaged")
    kept = nms(found, scores[chosen], threshold=nms_threshold, limit=max_faces)
    return Faces(boxes=found[kept], scores=scores[chosen][kept], landmarks=points[kept].reshape(-1, 5, 2))
