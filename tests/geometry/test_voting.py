from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffcore.faces import Faces
from ffcore.geometry import nms, vote


def faces_at(*rows: tuple[float, float, float, float, float]) -> Faces:
    table = np.array(rows, np.float32).reshape(-1, 5)
    points = np.repeat(table[:, None, :2], 5, axis=1)
    return Faces(boxes=table[:, :4], scores=table[:, 4], landmarks=points)


def test_two_looks_at_one_face_meet_at_their_weighted_mean() -> None:
    merged = vote(faces_at((0, 0, 100, 100, 0.6), (10, 0, 110, 100, 0.2)), threshold=0.4)
    assert merged.boxes.tolist() == [pytest.approx([2.5, 0, 102.5, 100])]
    assert merged.landmarks[0, 0].tolist() == pytest.approx([2.5, 0])
    assert merged.scores.tolist() == pytest.approx([0.6])


def test_a_face_that_only_touches_has_no_say() -> None:
    merged = vote(faces_at((0, 0, 100, 100, 0.6), (60, 0, 160, 100, 0.9)), threshold=0.4)
    assert merged.boxes.tolist() == [[60, 0, 160, 100], [0, 0, 100, 100]]


def test_no_faces_stay_no_faces() -> None:
    assert len(vote(Faces.empty(), threshold=0.4)) == 0


@given(seed=st.integers(0, 9999), count=st.integers(1, 30))
@settings(max_examples=60, deadline=None)
def test_as_many_faces_with_the_same_scores_as_nms_and_each_inside_what_voted(seed: int, count: int) -> None:
    random = np.random.default_rng(seed)
    low = random.random((count, 2)) * 50
    rows = np.concatenate([low, low + 5 + random.random((count, 2)) * 40, random.random((count, 1))], axis=1)
    faces = faces_at(*map(tuple, rows))
    merged = vote(faces, threshold=0.4)
    kept = nms(faces.boxes, faces.scores, threshold=0.4)
    assert np.array_equal(merged.scores, faces.scores[kept])
    assert (merged.boxes >= faces.boxes.min(axis=0) - 1e-3).all()
    assert (merged.boxes <= faces.boxes.max(axis=0) + 1e-3).all()
