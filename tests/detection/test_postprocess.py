from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffcore.detection import postprocess
from ffcore.errors import ModelError
from ffcore.geometry import anchors, decode_boxes, decode_landmarks, nms

RAW = tuple[np.ndarray, np.ndarray, np.ndarray]


def raw(seed: int, *, height: int = 64, width: int = 96) -> RAW:
    rng = np.random.default_rng(seed)
    count = len(anchors(height, width))
    return (
        rng.normal(size=(count, 4)).astype(np.float32),
        rng.random(count).astype(np.float32),
        rng.normal(size=(count, 10)).astype(np.float32),
    )


def run(outputs: RAW, **changes: object):
    settings = {"height": 64, "width": 96, "score": 0.5, "nms_threshold": 0.4, **changes}
    return postprocess(outputs[0], outputs[1], landmarks=outputs[2], **settings)  # type: ignore[arg-type]


@given(st.integers(0, 1000), st.sampled_from([0.02, 0.5, 0.9]))
def test_decoding_only_what_survives_equals_decoding_everything(seed: int, score: float) -> None:
    boxes, scores, landmarks = raw(seed)
    table = anchors(64, 96) * np.array([96, 64, 96, 64], np.float32)
    every = decode_boxes(boxes, table)
    above = np.flatnonzero(scores > score)
    kept = above[nms(every[above], scores[above], threshold=0.4)]
    faces = run((boxes, scores, landmarks), score=score)
    assert np.allclose(faces.boxes, every[kept], atol=1e-4)
    assert np.array_equal(faces.scores, scores[kept])
    assert np.allclose(faces.landmarks.reshape(-1, 10), decode_landmarks(landmarks, table)[kept], atol=1e-4)


def test_a_zero_offset_is_the_anchor_in_pixels() -> None:
    boxes, scores, landmarks = (np.zeros_like(part) for part in raw(0))
    scores[2] = 0.7  # second column of the first row of stride 8, smaller size
    (face,) = run((boxes, scores, landmarks))
    assert np.allclose(face.boxes, [[4, -4, 20, 12]])
    assert np.allclose(face.landmarks, [[[12, 4]] * 5])


def test_a_score_at_the_threshold_is_not_enough() -> None:
    boxes, scores, landmarks = (np.zeros_like(part) for part in raw(0))
    scores[2] = 0.5
    assert len(run((boxes, scores, landmarks))) == 0


def test_the_limits_keep_the_best() -> None:
    outputs = raw(3)
    every = run(outputs, score=0.1)
    few = run(outputs, score=0.1, max_faces=3)
    assert few == every[:3]
    assert len(run(outputs, score=0.1, candidates=1)) == 1
    assert np.array_equal(run(outputs, score=0.1, candidates=1).scores, [outputs[1].max()])


@pytest.mark.parametrize("part", [0, 1, 2])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_outputs_that_are_not_finite_are_an_error_not_a_missing_face(part: int, value: float) -> None:
    outputs = raw(0)
    outputs[1][5] = 0.9
    outputs[part][5] = value
    with pytest.raises(ModelError, match="damaged"):
        run(outputs)


def test_a_size_that_overflows_is_an_error() -> None:
    outputs = raw(0)
    outputs[0][5, 3], outputs[1][5] = 1000, 0.9
    with pytest.raises(ModelError, match="finite"):
        run(outputs)


def test_outputs_of_another_size_are_an_error() -> None:
    with pytest.raises(ModelError, match="64 x 64 pixels, which have 168 anchors"):
        run(raw(0), width=64)
