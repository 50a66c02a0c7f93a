"""Whether a changed network still finds the faces on photos that it found before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ffcore.detection import FaceDetector
from ffcore.detection.loading import load_backend
from ffcore.detection.options import DetectorOptions
from ffcore.errors import ExportError, InputError, ModelError
from ffcore.evaluation.ground_truth import GroundTruth, offsets_of
from ffcore.evaluation.predictions import predictions_from_faces
from ffcore.evaluation.scoring import evaluate
from ffcore.faces import Faces
from ffcore.geometry.boxes import pairwise_iou
from ffcore.results import ImageFaces

FACE = 0.5
"""Score above which something is a face."""

SAME = 0.5
"""IoU above which two boxes show the same face."""

_SUBSET = "faces"


@dataclass(frozen=True)
class FaceTolerance:
    """By how much faces on photos may differ.

    Args:
        score: Of a score, 0..1.
        box: Of a coordinate, as a part of the box's longer side.
        lost: Which part of the faces may be missing or new: a score within rounding of the threshold tips
            the choice.
    """

    score: float
    box: float
    lost: float


HALF = FaceTolerance(score=0.02, box=0.02, lost=0.01)
"""For float16."""


@dataclass(frozen=True)
class FaceAgreement:
    """Faces of the same photos before and after a change.

    Args:
        photos: How many were looked at.
        faces: How many faces there were before.
        lost: How many of these are missing, and how many are new.
        score: Largest difference of a score, of the others.
        box: Largest difference of a coordinate, as a part of the box's longer side.
    """

    photos: int
    faces: int
    lost: int
    score: float
    box: float

    def within(self, tolerance: FaceTolerance) -> bool:
        """Whether nothing is too large."""
        return (
            self.score <= tolerance.score
            and self.box <= tolerance.box
            and self.lost <= tolerance.lost * self.faces
        )


def detect_all(
    path: Path, photos: Sequence[NDArray[np.uint8]], *, score: float, suppress: bool = True
) -> list[Faces]:
    """The faces of each photo, one look at each and nothing clever.

    Args:
        path: An ONNX file.
        photos: (H, W, 3) uint8 BGR.
        score: Faces must have more than this.
        suppress: Whether of boxes of one face the surest alone is kept; otherwise all are.

    Raises:
        ExportError: The file does not run.
    """
    options = DetectorOptions(score=score, multiple=1, max_side=None, close_ups=False, batch=1)
    if not suppress:  # a crowd has several boxes for each of its faces
        options = replace(options, nms=1.0, max_faces=options.candidates)
    try:
        detector = FaceDetector(load_backend(path, device="cpu", threads=1), options)
        return [detector(photo) for photo in photos]
    except ModelError as error:
        raise ExportError(f"the changed graph does not run: {error}; nothing was written") from error


def compare_faces(
    before: Sequence[Faces], after: Sequence[Faces], offers: Sequence[Faces] | None = None
) -> FaceAgreement:
    """Measures how far faces have moved.

    Where a network finds a face by several anchors and is as sure by each, rounding decides which of the
    boxes suppression keeps, and they may be some part of the face apart though none has moved. So a face
    is compared with the nearest box there was before suppression.

    Args:
        before: Photo by photo, those of any score.
        after: The same photos.
        offers: Likewise, before suppression; those of `after` when None.
    """
    total = lost = 0
    score = box = 0.0
    for old, new, offered in zip(before, after, after if offers is None else offers, strict=True):
        sure, found = old.scores > FACE, new.scores > FACE
        total += int(sure.sum())
        overlap = pairwise_iou(old.boxes, new.boxes)
        if not len(old) or not len(new):
            lost += int(sure.sum()) + int(found.sum())
            continue
        # a face counts as kept with any score: by how much that has changed is a figure of its own
        kept = sure & (overlap.max(axis=1) > SAME)
        lost += int((sure & ~kept).sum()) + int((found & (overlap.max(axis=0) <= SAME)).sum())
        if kept.any():
            moved = np.abs(old.boxes[kept][:, None] - offered.boxes).max(axis=2)
            score = max(score, float(np.abs(old.scores[kept] - offered.scores[moved.argmin(axis=1)]).max()))
            box = max(box, float((moved.min(axis=1) / old.sizes[kept].max(axis=1)).max()))
    return FaceAgreement(len(before), total, lost, score, box)


def require_faces(faces: Iterable[Faces]) -> None:
    """Refuses photos on which nothing could be compared.

    Args:
        faces: What the network finds, photo by photo.

    Raises:
        InputError: It is sure of none.
    """
    if not any((each.scores > FACE).any() for each in faces):
        raise InputError("the network finds no face on the photos; give photos with faces to compare on")


def faces_as_truth(faces: Sequence[Faces]) -> GroundTruth:
    """The faces that a network is sure of, as if somebody had labelled them.

    Args:
        faces: Photo by photo.

    Raises:
        InputError: There are none, so that nothing could be measured.
    """
    require_faces(faces)
    kept = [each[each.scores > FACE].boxes.astype(np.float64) for each in faces]
    boxes = np.concatenate(kept)
    boxes[:, 2:] -= boxes[:, :2]
    return GroundTruth(
        images=tuple(map(str, range(len(kept)))),
        boxes=boxes,
        offsets=offsets_of(np.array([len(each) for each in kept])),
        kept={_SUBSET: np.ones(len(boxes), bool)},
    )


def agreement(truth: GroundTruth, faces: Sequence[Faces]) -> float:
    """AP of faces, 0..1, where those of another network stand for the truth.

    Args:
        truth: See `faces_as_truth`.
        faces: Of the same photos, down to a low score.
    """
    # sizes play no part in the score
    results = [ImageFaces(str(i), 1, 1, each) for i, each in enumerate(faces)]
    return evaluate(truth, predictions_from_faces(results, truth)).ap[_SUBSET] or 0.0
