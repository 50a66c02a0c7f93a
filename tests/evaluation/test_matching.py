from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from ffcore.evaluation.matching import match, paired_iou
from ffcore.geometry.boxes import pairwise_iou
from tests.evaluation.small_sets import SUBSETS, arrays, image_sets
from tests.evaluation.twin import TwinImage, best_face


@settings(max_examples=200, deadline=None)
@given(image_sets())
def test_every_box_goes_to_its_best_face(images: list[TwinImage]) -> None:
    truth, predictions = arrays(images)
    found = match(truth, predictions).face.tolist()
    expected = []
    for image, first_row in zip(images, truth.offsets.tolist(), strict=False):
        for box in image.boxes:
            row, iou = best_face(box[:4], image.faces)
            expected.append(first_row + row if iou >= 0.5 else -1)
    assert found == expected


@settings(max_examples=100, deadline=None)
@given(image_sets())
def test_the_overlap_of_pairs_is_that_of_the_geometry_to_the_last_bit(images: list[TwinImage]) -> None:
    truth, predictions = arrays(images)
    boxes, faces = predictions.boxes.copy(), truth.boxes.copy()
    for corners in (boxes, faces):
        corners[:, 2:] += corners[:, :2]
    table = pairwise_iou(boxes, faces, inclusive=True)
    rows, columns = np.indices(table.shape).reshape(2, -1)
    assert np.array_equal(paired_iou(boxes[rows], faces[columns]), table.ravel())


def one_image(faces: list[tuple[float, float, float, float]], boxes: list[tuple[float, ...]]) -> TwinImage:
    keep = {name: set(range(len(faces))) for name in SUBSETS}
    return TwinImage("0--A/a", faces, keep, boxes)  # type: ignore[arg-type]


def test_an_overlap_of_exactly_a_half_matches() -> None:
    face = (0.0, 0.0, 39.0, 9.0)  # 40 pixels wide, and boxes of 20 and 19
    truth, predictions = arrays([one_image([face], [(0, 0, 19, 9, 0.9), (0, 0, 18, 9, 0.8)])])
    assert match(truth, predictions).face.tolist() == [0, -1]


def test_of_two_faces_in_one_place_the_lower_row_wins() -> None:
    face = (5.0, 5.0, 10.0, 10.0)
    truth, predictions = arrays([one_image([face, face], [(*face, 0.9), (*face, 0.8)])])
    matches = match(truth, predictions)
    assert matches.face.tolist() == [0, 0]
    assert matches.first.tolist() == [True, False]


def test_the_first_box_on_a_face_is_the_best_one_and_of_equals_the_first_in_the_file() -> None:
    face = (5.0, 5.0, 10.0, 10.0)
    truth, predictions = arrays([one_image([face], [(*face, 0.2), (*face, 0.9), (*face, 0.9)])])
    assert match(truth, predictions).first.tolist() == [False, True, False]


def test_matching_many_boxes_in_steps_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    import ffcore.evaluation.matching as module

    rng = np.random.default_rng(3)
    faces = [tuple(row) for row in rng.integers(1, 60, (40, 4)).astype(float).tolist()]
    boxes = [(*row, 0.5) for row in rng.integers(1, 60, (90, 4)).astype(float).tolist()]
    truth, predictions = arrays(
        [one_image(faces, boxes), TwinImage("0--A/b", [], {n: set() for n in SUBSETS})]
    )
    whole = match(truth, predictions).face
    assert (whole >= 0).sum() > 5
    for size in (1, 7, 64):
        monkeypatch.setattr(module, "_PAIRS_AT_ONCE", size)
        assert np.array_equal(match(truth, predictions).face, whole)


@pytest.mark.parametrize(
    ("face", "box"),
    [
        ((100.0, 0.0, 39.0, 9.0), (100.0, 0.0, 19.0, 9.0)),
        ((100.0, 0.0, 39.0, 9.0), (120.0, 0.0, 19.0, 9.0)),
        ((100.0, 0.0, 19.0, 9.0), (100.0, 0.0, 39.0, 9.0)),
        ((120.0, 0.0, 19.0, 9.0), (100.0, 0.0, 39.0, 9.0)),
        ((-1e9, 0.0, 1e9 - 1, 9.0), (-5e8, 0.0, 5e8 - 1, 9.0)),
    ],
)
def test_a_half_of_a_box_matches_at_either_end_of_it(
    face: tuple[float, float, float, float], box: tuple[float, float, float, float]
) -> None:
    others = [(x, 0.0, 1.0, 1.0) for x in (-2e9, -50.0, 90.0, 110.0, 130.0, 2e9)]
    truth, predictions = arrays([one_image([*others, face], [(*box, 0.9)])])
    assert match(truth, predictions).face.tolist() == [6]
