"""Non-maximum suppression by the published rule, exactly.

OpenCV's compiled ``cv2.dnn.NMSBoxes`` was measured first. It computes the overlap as one minus a
float32 distance, so boxes whose IoU equals the threshold fall on either side: on small whole-number
boxes 550 of 3,000 random sets came out different. Its speed from Python is no better either (see
`nms`), so the comparison is done here, in blocks of NumPy.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ffcore.errors import ConfigError
from ffcore.geometry.boxes import areas, pairwise_iou

_BLOCK = 64  # candidates compared at once: large enough for NumPy, small enough for the cache


def nms(
    boxes: NDArray[np.floating[Any]],
    scores: NDArray[np.floating[Any]],
    *,
    threshold: float,
    limit: int | None = None,
) -> NDArray[np.intp]:
    """Greedy non-maximum suppression: the best box stays, and those that overlap it too much go.

    The published rule: sides are ``x2 - x1 + 1``; a box goes when its IoU with a kept one is greater than
    `threshold`, and stays when it is equal (both as float32). Boxes must be in pixels: in 0..1 the
    added 1 makes one cluster of everything.

    Args:
        boxes: (N, 4), xyxy, pixels; computed in float32.
        scores: (N,), any finite values.
        threshold: IoU, 0..1.
        limit: At most so many boxes are kept; the search ends there.

    Returns:
        (K,) indices of the kept boxes by descending score; equal scores: lower index first.

    Raises:
        ConfigError: Shapes disagree or the threshold is not in 0..1.
    """
    if boxes.shape != (scores.shape[0], 4) or scores.ndim != 1:
        raise ConfigError(f"NMS needs boxes (N, 4) and scores (N,); got {boxes.shape} and {scores.shape}")
    if not 0 <= threshold <= 1:
        raise ConfigError(f"the NMS threshold must be in 0..1, got {threshold}")
    order = np.argsort(-scores, kind="stable")
    ranked = np.asarray(boxes, np.float32)[order]
    cut = np.float32(threshold)
    kept = np.empty(len(ranked), np.intp)  # ranks
    found = 0
    wanted = len(ranked) if limit is None else min(max(limit, 0), len(ranked))
    for start in range(0, len(ranked), _BLOCK):
        block = ranked[start : start + _BLOCK]
        # Few of a crowded photo's candidates survive the boxes kept so far; only those meet each other.
        left = np.flatnonzero(~_suppressed(block, ranked[kept[:found]], cut))
        rivals = pairwise_iou(block[left], block[left], inclusive=True) > cut
        alive = np.ones(len(left), np.bool_)
        for i, rank in enumerate(left):
            if not alive[i]:
                continue
            if found == wanted:
                return order[kept[:found]]
            kept[found] = start + rank
            found += 1
            alive &= ~rivals[i]  # those before i are decided already
    return order[kept[:found]]


def _suppressed(block: NDArray[np.float32], kept: NDArray[np.float32], cut: np.float32) -> NDArray[np.bool_]:
    """Which boxes of `block` overlap one of `kept` by more than `cut`.

    Most pairs are far apart: four comparisons find the few that touch, and only those are measured.
    """
    near = (
        (block[:, None, 0] <= kept[None, :, 2] + 1)
        & (block[:, None, 2] + 1 >= kept[None, :, 0])
        & (block[:, None, 1] <= kept[None, :, 3] + 1)
        & (block[:, None, 3] + 1 >= kept[None, :, 1])
    )
    rows, columns = np.nonzero(near)
    first, second = block[rows], kept[columns]
    sides = np.maximum(
        np.minimum(first[:, 2:], second[:, 2:]) - np.maximum(first[:, :2], second[:, :2]) + 1, 0
    )
    shared = sides[:, 0] * sides[:, 1]
    union = areas(first, inclusive=True) + areas(second, inclusive=True) - shared
    over = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0) > cut
    result = np.zeros(len(block), np.bool_)
    result[rows[over]] = True
    return result
