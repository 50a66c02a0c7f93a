"""Merging many looks at a photo by vote (Gidaris and Komodakis 2015, arXiv 1505.01749, section 5)."""

from __future__ import annotations

import numpy as np

from ffcore.faces import Faces
from ffcore.geometry.boxes import pairwise_iou
from ffcore.geometry.nms import nms

VOTING_IOU = 0.5
"""Boxes that overlap a kept one by at least this much have a say in where it lies."""


def vote(faces: Faces, *, threshold: float, limit: int | None = None) -> Faces:
    """NMS in which the boxes that are dropped still move the one that stays.

    A kept face gets the mean box and landmarks of all faces that overlap it by `VOTING_IOU` or more, weighted
    by their scores; its own score stays.

    Args:
        faces: Of all looks together, in photo pixels.
        threshold: Of the NMS, as for `ffcore.geometry.nms`.
        limit: At most so many are kept.

    Returns:
        The kept faces by descending score.
    """
    kept = nms(faces.boxes, faces.scores, threshold=threshold, limit=limit)
    if not len(kept):
        return faces[kept]
    overlap = pairwise_iou(faces.boxes[kept].astype(np.float64), faces.boxes.astype(np.float64))
    weight = (overlap >= VOTING_IOU) * faces.scores
    weight[np.arange(len(kept)), kept] = np.maximum(faces.scores[kept], np.finfo(np.float32).tiny)
    weight /= weight.sum(axis=1, keepdims=True)
    return Faces(
        boxes=weight @ faces.boxes,
        scores=faces.scores[kept],
        landmarks=(weight @ faces.landmarks.reshape(-1, 10)).reshape(-1, 5, 2),
    )
