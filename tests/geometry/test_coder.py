from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ffcore.geometry import anchors, decode_boxes, decode_landmarks, encode_boxes, encode_landmarks

ANCHORS = anchors(97, 131).astype(np.float64)
rows = st.integers(0, len(ANCHORS) - 1)
boxes = st.tuples(st.floats(-0.5, 1.5), st.floats(-0.5, 1.5), st.floats(0.001, 2), st.floats(0.001, 2)).map(
    lambda b: np.array([[b[0], b[1], b[0] + b[2], b[1] + b[3]]])
)


def test_an_anchor_is_encoded_as_zeros() -> None:
    anchor = np.array([[0.5, 0.5, 0.2, 0.1]])
    assert np.allclose(encode_boxes(np.array([[0.4, 0.45, 0.6, 0.55]]), anchor), 0, atol=1e-9)
    assert np.allclose(decode_boxes(np.zeros((1, 4)), anchor), [[0.4, 0.45, 0.6, 0.55]])


def test_pixels_work_like_relative_units() -> None:
    anchor = np.array([[50.0, 40.0, 20.0, 20.0]])
    assert np.allclose(decode_boxes(np.array([[10.0, 0, np.log(2) / 0.2, 0]]), anchor), [[50, 30, 90, 50]])
    assert np.allclose(decode_landmarks(np.array([[10.0, -5.0]]), anchor), [[70, 30]])


@given(boxes, rows)
def test_decoding_undoes_encoding(box: np.ndarray, row: int) -> None:
    anchor = ANCHORS[row : row + 1]
    assert np.allclose(decode_boxes(encode_boxes(box, anchor), anchor), box, atol=1e-9)


@given(hnp.arrays(np.float64, (1, 10), elements=st.floats(-2, 2)), rows)
def test_decoding_landmarks_undoes_encoding(points: np.ndarray, row: int) -> None:
    anchor = ANCHORS[row : row + 1]
    assert np.allclose(decode_landmarks(encode_landmarks(points, anchor), anchor), points, atol=1e-9)


@pytest.mark.parametrize("box", [[0.4, 0.4, 0.4, 0.6], [0.4, 0.4, 0.6, 0.4], [0.4, 0.4, 0.4, 0.4]])
def test_a_box_without_a_side_has_finite_targets(box: list[float]) -> None:
    found = encode_boxes(np.array([box], np.float32), np.array([[0.5, 0.5, 0.2, 0.2]], np.float32))
    assert np.isfinite(found).all()
    assert found.min() == pytest.approx(np.log(1e-6) / 0.2)


def test_single_precision_stays_single() -> None:
    anchor, box = ANCHORS[:1].astype(np.float32), np.array([[0, 0, 1, 1]], np.float32)
    assert encode_boxes(box, anchor).dtype == decode_boxes(box, anchor).dtype == np.float32


def test_tensors_take_the_same_way_and_keep_gradients() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    offsets, points = rng.normal(size=(608, 4)), rng.normal(size=(608, 10))
    tensor = torch.tensor(offsets, requires_grad=True)
    decoded = decode_boxes(tensor, torch.tensor(ANCHORS))
    assert np.allclose(decoded.detach().numpy(), decode_boxes(offsets, ANCHORS), atol=1e-12)
    decoded.sum().backward()
    assert torch.isfinite(tensor.grad).all()
    assert (tensor.grad != 0).any()
    back = encode_boxes(decoded.detach(), torch.tensor(ANCHORS))
    assert np.allclose(back.numpy(), offsets, atol=1e-9)
    marks = decode_landmarks(torch.tensor(points), torch.tensor(ANCHORS))
    assert np.allclose(marks.numpy(), decode_landmarks(points, ANCHORS), atol=1e-12)


@pytest.mark.reference
def test_coding_equals_the_published_values(reference: Path) -> None:
    golden = np.load(reference / "golden" / "boxcoding.npz")
    priors = golden["priors"]
    for found, name in [
        (decode_boxes(golden["loc"], priors), "boxes"),
        (decode_landmarks(golden["landm"], priors), "points"),
    ]:
        assert np.abs(found - golden[name]).max() <= 1e-6
    for found, name in [
        (encode_boxes(golden["gt_boxes"], priors), "enc_loc"),
        (encode_landmarks(golden["gt_points"], priors), "enc_landm"),
    ]:
        # Offsets reach 60, where one float32 step is 4e-6; hence relative above 1.
        assert (np.abs(found - golden[name]) <= 1e-6 * np.maximum(1, np.abs(golden[name]))).all()
