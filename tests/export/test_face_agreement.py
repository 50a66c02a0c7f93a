from __future__ import annotations

import numpy as np
import pytest

from ffcore.detection.shipped import SHIPPED
from ffcore.errors import InputError
from ffcore.export.face_agreement import (
    HALF,
    FaceAgreement,
    FaceTolerance,
    agreement,
    compare_faces,
    detect_all,
    faces_as_truth,
)
from ffcore.faces import Faces


def faces(*rows: tuple[float, float, float]) -> Faces:
    """Squares of 100 pixels: left, top, score."""
    boxes = np.array([[x, y, x + 100, y + 100] for x, y, _ in rows], np.float32).reshape(-1, 4)
    scores = np.array([score for *_, score in rows], np.float32)
    return Faces(boxes=boxes, scores=scores, landmarks=np.zeros((len(rows), 5, 2), np.float32))


def test_equal_faces_do_not_differ() -> None:
    same = [faces((0, 0, 0.9), (300, 0, 0.6)), faces()]
    assert compare_faces(same, same) == FaceAgreement(photos=2, faces=2, lost=0, score=0, box=0)


def test_how_far_the_worst_face_moved_is_told() -> None:
    found = compare_faces([faces((0, 0, 0.9), (300, 0, 0.6))], [faces((0, 0, 0.875), (302, 0, 0.6))])
    assert (found.faces, found.lost) == (2, 0)
    assert found.score == pytest.approx(0.025, abs=1e-6)
    assert found.box == pytest.approx(0.02, abs=1e-6)


def test_a_tie_that_rounding_decides_has_moved_nothing() -> None:
    """Two anchors find the face, three pixels apart and equally sure; suppression keeps the other one now."""
    before, after = [faces((0, 0, 0.9))], [faces((3, 0, 0.9))]
    offers = [faces((3, 0, 0.9), (0, 0, 0.875), (300, 0, 0.9))]
    assert compare_faces(before, after).box == pytest.approx(0.03, abs=1e-6)
    found = compare_faces(before, after, offers)
    assert (found.faces, found.lost, found.box) == (1, 0, 0)
    assert found.score == pytest.approx(0.025, abs=1e-6)


def test_without_suppression_no_box_is_left_out() -> None:
    """More of them than a photo may have faces."""
    photo = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    (found,) = detect_all(SHIPPED["v2"].onnx, [photo], score=0.0, suppress=False)
    assert len(found) == 2 * (32**2 + 16**2 + 8**2)


@pytest.mark.parametrize(
    ("before", "after", "lost"),
    [
        ([(0, 0, 0.9)], [], 1),
        ([], [(0, 0, 0.9)], 1),
        ([(0, 0, 0.9)], [(300, 0, 0.9)], 2),  # one is missing, another is new
        ([(0, 0, 0.51)], [(0, 0, 0.49)], 0),  # less sure of the same face
        ([(0, 0, 0.49)], [(0, 0, 0.51)], 0),
        ([(0, 0, 0.4)], [], 0),  # nobody was sure
    ],
)
def test_faces_that_come_or_go_are_counted(before: list, after: list, lost: int) -> None:
    assert compare_faces([faces(*before)], [faces(*after)]).lost == lost


def test_each_limit_counts_for_itself() -> None:
    allowed = FaceTolerance(score=0.1, box=0.1, lost=0.1)
    assert FaceAgreement(1, 10, 1, 0.1, 0.1).within(allowed)
    assert not FaceAgreement(1, 10, 2, 0.1, 0.1).within(allowed)
    assert not FaceAgreement(1, 10, 1, 0.2, 0.1).within(allowed)
    assert not FaceAgreement(1, 10, 1, 0.1, 0.2).within(allowed)
    assert not FaceAgreement(1, 10, 0, float("nan"), 0).within(HALF)


def test_the_truth_is_what_a_network_is_sure_of() -> None:
    sure = [faces((0, 0, 0.9), (300, 0, 0.3)), faces((5, 5, 0.8))]
    truth = faces_as_truth(sure)
    assert truth.boxes.tolist() == [[0, 0, 100, 100], [5, 5, 100, 100]]
    assert agreement(truth, sure) == pytest.approx(1, abs=1e-3)
    assert agreement(truth, [sure[0], faces()]) == pytest.approx(0.5, abs=1e-3)
    with pytest.raises(InputError, match="no face on the photos"):
        faces_as_truth([faces((0, 0, 0.3)), faces()])
