"""Whether an end-to-end graph finds the faces that the library finds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ffcore.detection.facts import DetectorFacts
from ffcore.detection.options import DetectorOptions
from ffcore.detection.postprocess import postprocess
from ffcore.errors import ExportError, one_line
from ffcore.export.end_to_end import add_pre_and_postprocessing
from ffcore.export.parity import Case, onnx_runner, pictures, planes
from ffcore.faces import Faces

PIXELS = 0.01
"""By how much a coordinate may differ."""

SCORE = 1e-6
"""By how much the score of a face may differ."""

TIPPED = 0.01
"""Which part of the faces may be missing or new: an overlap within rounding of the threshold tips the
choice."""


@dataclass(frozen=True)
class FaceDifference:
    """Faces of one image, by the graph and by the library.

    Args:
        case: The image.
        score: Threshold of the comparison.
        faces: How many the library found.
        unmatched: How many only one of them found.
    """

    case: Case
    score: float
    faces: int
    unmatched: int


def require_same_faces(
    network: Path, whole: Path, *, options: DetectorOptions, cases: Iterable[Case], name: str
) -> tuple[FaceDifference, ...]:
    """Compares an end-to-end graph with the library's post-processing of the network it was made from.

    Few images made of numbers show a face, so a twin of the graph without a score threshold is compared too.

    Args:
        network: The graph of the network; that it equals torch is another comparison.
        whole: The end-to-end graph.
        options: Its thresholds.
        cases: On what; one image of each.
        name: How the user knows the export.

    Raises:
        ExportError: Other faces were found, or the graph does not run.
    """
    twin = whole.with_name(f"{whole.stem}.twin{whole.suffix}")
    everything = replace(options, score=0.0)
    try:
        add_pre_and_postprocessing(network, twin, options=everything)
        graphs = [(options, onnx_runner(whole.read_bytes())), (everything, onnx_runner(twin.read_bytes()))]
    finally:
        twin.unlink(missing_ok=True)
    core = onnx_runner(network.read_bytes())
    found = []
    for case in cases:
        picture = pictures(replace(case, batch=1))
        raw = core(planes(picture))
        for chosen, run in graphs:
            wanted = postprocess(
                raw[0][0],
                np.ascontiguousarray(raw[1][0, :, 1]),
                landmarks=raw[2][0],
                height=case.height,
                width=case.width,
                score=chosen.score,
                nms_threshold=chosen.nms,
                candidates=chosen.candidates,
                max_faces=chosen.max_faces,
                config=DetectorFacts().anchors,
            )
            try:
                boxes, scores, landmarks = run(picture[0])
            except Exception as error:  # the runtime's exceptions have no common base below this
                raise ExportError(
                    f"{name}: the graph does not run ({one_line(error)}); nothing was written"
                ) from error
            unmatched = count_unmatched(Faces(boxes=boxes, scores=scores, landmarks=landmarks), wanted)
            if unmatched > TIPPED * len(wanted):
                raise ExportError(
                    f"{name}: at {case.height}×{case.width} {unmatched} faces were found by only one of "
                    f"graph and library, which found {len(wanted)}; nothing was written"
                )
            found.append(FaceDifference(case, chosen.score, len(wanted), unmatched))
    return tuple(found)


def count_unmatched(first: Faces, second: Faces) -> int:
    """How many faces of either have no equal in the other, within `PIXELS` and `SCORE`."""
    near = np.abs(first.boxes[:, None] - second.boxes[None]).max(axis=2, initial=0) <= PIXELS
    near &= np.abs(first.landmarks[:, None] - second.landmarks[None]).max(axis=(2, 3), initial=0) <= PIXELS
    near &= np.abs(first.scores[:, None] - second.scores[None]) <= SCORE
    return int((~near.any(axis=1)).sum() + (~near.any(axis=0)).sum())
