"""The rules of the evaluation once more, in plain loops straight from their text."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

Box = tuple[float, float, float, float]


@dataclass
class TwinImage:
    name: str
    faces: list[Box]
    keep: dict[str, set[int]]  # rows, counted from 0
    boxes: list[tuple[float, float, float, float, float]] = field(default_factory=list)


@dataclass
class TwinResult:
    ap: dict[str, float | None]
    faces: dict[str, int]
    proposals: dict[str, list[int]]
    recalled: dict[str, list[int]]
    lo: float
    hi: float


def overlap(box: Box, face: Box) -> float:
    """Rule 5."""
    x2_box, y2_box = box[0] + box[2], box[1] + box[3]
    x2_face, y2_face = face[0] + face[2], face[1] + face[3]
    iw = min(x2_box, x2_face) - max(box[0], face[0]) + 1
    ih = min(y2_box, y2_face) - max(box[1], face[1]) + 1
    if iw <= 0 or ih <= 0:
        return 0.0
    area_box = (x2_box - box[0] + 1) * (y2_box - box[1] + 1)
    area_face = (x2_face - face[0] + 1) * (y2_face - face[1] + 1)
    return iw * ih / (area_box + area_face - iw * ih)


def best_face(box: Box, faces: list[Box]) -> tuple[int, float]:
    """Rule 7, step 1; (-1, -1) where there is no face at all."""
    best, best_iou = -1, -1.0
    for row, face in enumerate(faces):
        iou = overlap(box, face)
        if iou > best_iou:
            best, best_iou = row, iou
    return best, best_iou


def evaluate_slowly(images: list[TwinImage], subsets: list[str], *, least_iou: float = 0.5) -> TwinResult:
    lo, hi = 1.0, 0.0  # rule 4
    for image in images:
        for box in image.boxes:
            lo = min(lo, box[4])
            hi = max(hi, box[4])

    faces = {name: sum(len(image.keep[name]) for image in images) for name in subsets}  # rule 10
    proposals = {name: [0] * 1000 for name in subsets}
    recalled = {name: [0] * 1000 for name in subsets}
    for image in images:
        if not image.faces or not image.boxes:
            continue
        boxes = sorted(image.boxes, key=lambda box: -box[4])  # rule 3; Python's sort is stable
        best = [best_face(box[:4], image.faces) for box in boxes]
        for name in subsets:
            is_proposal, now_found, found = [], [], set()
            for row, iou in best:  # rule 7
                if iou < least_iou:
                    is_proposal.append(True)
                elif row not in image.keep[name]:
                    is_proposal.append(False)
                else:
                    is_proposal.append(True)
                    found.add(row)
                now_found.append(len(found))
            for t in range(1000):  # rule 9
                threshold = 1 - (t + 1) / 1000
                r = 0
                for place, box in enumerate(boxes, start=1):
                    if hi != lo and (box[4] - lo) / (hi - lo) >= threshold:
                        r = place
                if r:
                    proposals[name][t] += sum(is_proposal[:r])
                    recalled[name][t] += now_found[r - 1]

    ap = {name: area(proposals[name], recalled[name], faces[name]) for name in subsets}
    return TwinResult(ap, faces, proposals, recalled, lo, hi)


def area(proposals: list[int], recalled: list[int], faces: int) -> float | None:
    """Rules 10 to 12."""
    if faces == 0:
        return None
    points = [(0.0, 0.0)]
    for count, right in zip(proposals, recalled, strict=True):
        points.append((right / faces, right / count if count else 0.0))
    points.append((1.0, 0.0))
    raised, best = [], 0.0
    for recall, precision in reversed(points):
        best = max(best, precision)
        raised.append((recall, best))
    raised.reverse()
    total = 0.0
    for (before, _), (recall, precision) in pairwise(raised):
        if recall != before:
            total += (recall - before) * precision
    return total
