from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffcore.detection.hold import hold_faces
from ffcore.errors import ConfigError
from ffcore.faces import Faces


def face(x: float, y: float = 100.0, size: float = 40.0, score: float = 0.9) -> Faces:
    box = np.array([[x - size / 2, y - size / 2, x + size / 2, y + size / 2]], np.float32)
    return Faces(box, np.array([score], np.float32), np.repeat(np.array([[[x, y]]], np.float32), 5, axis=1))


def iou(a: Faces, b: Faces) -> float:
    """Of the first face of each."""
    p, q = a.boxes[0], b.boxes[0]
    inner = np.maximum(np.minimum(p[2:], q[2:]) - np.maximum(p[:2], q[:2]), 0).prod()
    return float(inner / ((p[2:] - p[:2]).prod() + (q[2:] - q[:2]).prod() - inner))


def best_iou(faces: Faces, wanted: Faces) -> float:
    return max((iou(each, wanted) for each in faces), default=0.0)


def run(frames: list[Faces], gap: int) -> list[Faces]:
    result = list(hold_faces(enumerate(frames), gap=gap))
    assert [number for number, _ in result] == list(range(len(frames)))
    return [faces for _, faces in result]


small_faces = st.builds(
    face,
    st.floats(0, 600, width=32),
    st.floats(0, 400, width=32),
    st.floats(1, 120, width=32),
    st.floats(0, 1, width=32),
)
detections = st.lists(st.lists(small_faces, max_size=3).map(Faces.concatenate), max_size=14)


@settings(deadline=None)
@given(frames=detections, gap=st.integers(0, 6))
def test_frames_keep_number_and_order_and_no_detection_is_lost_or_changed(
    frames: list[Faces], gap: int
) -> None:
    for before, after in zip(frames, run(frames, gap), strict=True):
        assert len(after) >= len(before)
        assert after[: len(before)] == before


@settings(deadline=None)
@given(
    start=st.tuples(st.floats(100, 500), st.floats(100, 300)),
    speed=st.tuples(st.floats(-0.15, 0.15), st.floats(-0.15, 0.15)),
    growth=st.floats(-0.02, 0.02),
    size=st.floats(12, 120),
    gap=st.integers(1, 10),
    missed=st.integers(1, 10),
    before=st.integers(1, 5),
)
def test_a_dropout_of_a_moving_face_is_covered(start, speed, growth, size, gap, missed, before) -> None:  # type: ignore[no-untyped-def]
    missed = min(missed, gap)
    truth = [
        face(start[0] + speed[0] * size * t, start[1] + speed[1] * size * t, size * (1 + growth * t))
        for t in range(before + missed + 3)
    ]
    seen = [Faces.empty() if before <= t < before + missed else each for t, each in enumerate(truth)]
    for t, after in enumerate(run(seen, gap)):
        assert best_iou(after, truth[t]) > 0.5, t


def test_positions_in_a_gap_lie_on_the_line_between() -> None:
    frames = [face(100, size=40), Faces.empty(), Faces.empty(), Faces.empty(), face(120, size=48)]
    result = run(frames, 8)
    for step, after in enumerate(result[1:4], start=1):
        assert len(after) == 1
        assert after.boxes[0].tolist() == pytest.approx(
            face(100 + 5 * step, size=40 + 2 * step).boxes[0].tolist()
        )
        assert after.landmarks[0, 0].tolist() == pytest.approx([100 + 5 * step, 100])


def test_first_and_last_box_reach_exactly_gap_frames_before_and_behind() -> None:
    for gap in (1, 3, 8):
        frames = [Faces.empty()] * 12 + [face(50)] + [Faces.empty()] * 12
        held = [len(faces) for faces in run(frames, gap)]
        assert held == [0] * (12 - gap) + [1] * (2 * gap + 1) + [0] * (12 - gap)


def test_a_gap_that_is_one_frame_too_long_is_held_from_both_ends_but_not_bridged() -> None:
    frames = [face(50), *[Faces.empty()] * 4, face(60)]
    assert [len(faces) for faces in run(frames, 3)] == [1, 1, 2, 2, 1, 1]
    assert [len(faces) for faces in run(frames, 4)] == [1, 1, 1, 1, 1, 1]


def test_a_gap_of_zero_changes_nothing_and_waits_for_nothing() -> None:
    frames = [face(50), Faces.empty(), face(60)]
    assert run(frames, 0) == frames


def test_two_faces_that_pass_each_other_are_both_covered_while_one_is_hidden() -> None:
    for t_hidden in range(5, 12):
        left = [face(100 + 12 * t, 100) for t in range(20)]
        right = [face(340 - 12 * t, 120) for t in range(20)]
        frames = [
            Faces.concatenate([left[t]] if t_hidden <= t < t_hidden + 3 else [left[t], right[t]])
            for t in range(20)
        ]
        for t, after in enumerate(run(frames, 4)):
            assert best_iou(after, right[t]) > 0.5, (t_hidden, t)
            assert best_iou(after, left[t]) > 0.99


def test_when_somebody_else_appears_nearby_the_lost_face_stays_covered() -> None:
    """Near enough for the same one, but with no common pixel: both ends and the way between are covered."""
    frames = [face(100), face(100), Faces.empty(), Faces.empty(), Faces.empty(), face(145), face(145)]
    result = run(frames, 4)
    for t in (2, 3, 4):
        assert len(result[t]) == 3
        assert best_iou(result[t], face(100)) > 0.99
        assert best_iou(result[t], face(145)) > 0.99


def test_a_face_far_away_or_of_quite_another_size_is_another_face() -> None:
    for other in (face(400), face(100, size=150)):
        result = run([face(100), Faces.empty(), other], 2)
        assert len(result[1]) == 2
        assert best_iou(result[1], face(100)) > 0.99
        assert best_iou(result[1], other) > 0.99


def test_only_gap_and_one_frames_are_kept_and_the_first_comes_gap_frames_late() -> None:
    pulled = 0

    def endless() -> Iterator[tuple[int, Faces]]:
        nonlocal pulled
        while True:
            pulled += 1
            yield pulled, face(100 + pulled % 7)

    held = hold_faces(endless(), gap=5)
    assert pulled == 0
    for expected in range(1, 200):
        number, _ = next(held)
        assert number == expected
        assert pulled == expected + 5


def test_no_frames_give_no_frames() -> None:
    assert run([], 8) == []


def test_a_negative_gap_is_refused_at_once() -> None:
    with pytest.raises(ConfigError, match="gap"):
        hold_faces([], gap=-1)
