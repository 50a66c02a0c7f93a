from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ffcore.faces import Faces
from ffcore.images import draw_faces
from ffcore.images.draw import BOX_COLOUR, LANDMARK_COLOURS

POINTS = np.array([[0.3, 0.35], [0.7, 0.35], [0.5, 0.55], [0.33, 0.75], [0.67, 0.75]], np.float32)


def faces_at(*boxes: tuple[float, float, float, float], scores: list[float] | None = None) -> Faces:
    corners = np.array(boxes, np.float32).reshape(-1, 4)
    landmarks = corners[:, None, :2] + POINTS * (corners[:, 2:] - corners[:, :2])[:, None]
    return Faces(corners, np.array(scores or [0.9] * len(corners), np.float32), landmarks)


def grey(height: int, width: int) -> NDArray[np.uint8]:
    return np.full((height, width, 3), 120, np.uint8)


def changed(result: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return (result != 120).any(axis=2)


def rows_of_label(result: NDArray[np.uint8], box: tuple[int, int, int, int]) -> int:
    """How many rows above the box are filled with the colour of labels."""
    above = result[: box[1], box[0] : box[0] + 6]
    return int((above == BOX_COLOUR).all(axis=2).any(axis=1).sum())


def test_the_image_itself_is_left_alone() -> None:
    image = grey(100, 100)
    result = draw_faces(image, faces_at((20, 20, 80, 80)))
    assert (image == 120).all()
    assert changed(result).any()
    assert not np.shares_memory(result, image)


def test_no_faces_give_an_equal_copy() -> None:
    assert not changed(draw_faces(grey(50, 50), Faces.empty())).any()


def test_the_box_lies_on_its_edges_and_its_middle_stays_free() -> None:
    result = draw_faces(grey(200, 200), faces_at((40, 50, 140, 160)), scores=False, landmarks=False)
    for y, x in ((50, 90), (159, 90), (100, 40), (100, 139)):
        assert result[y, x].tolist() == list(BOX_COLOUR)
    assert not changed(result)[60:150, 50:130].any()
    assert not changed(result)[:40].any()


def test_the_five_landmarks_have_five_colours_at_their_places() -> None:
    faces = faces_at((100, 100, 300, 300))
    result = draw_faces(grey(400, 400), faces, scores=False)
    found = [tuple(result[int(y), int(x)].tolist()) for x, y in faces.landmarks[0]]
    assert found == list(LANDMARK_COLOURS)
    assert len(set(found)) == 5


def test_lines_and_text_grow_with_the_photo() -> None:
    def line_width(scale: int) -> int:
        box = (40 * scale, 50 * scale, 140 * scale, 160 * scale)
        result = draw_faces(grey(200 * scale, 200 * scale), faces_at(box), scores=False, landmarks=False)
        return int((result[100 * scale] == BOX_COLOUR).all(axis=1).sum() // 2)

    assert line_width(1) == 1
    assert 5 <= line_width(20) <= 20

    small, large = (40, 50, 140, 160), (800, 1000, 2800, 3200)
    labels = [
        rows_of_label(draw_faces(grey(size, size), faces_at(box), landmarks=False), box)
        for size, box in ((200, small), (4000, large))
    ]
    assert 11 <= labels[0] <= 25
    assert 60 <= labels[1] <= 200


def test_a_small_face_in_a_huge_photo_is_not_covered_by_its_lines() -> None:
    result = draw_faces(grey(3000, 4000), faces_at((1000, 1000, 1040, 1040)), scores=False, landmarks=False)
    assert not changed(result)[1006:1034, 1006:1034].any()


def test_faces_too_small_for_a_label_or_for_landmarks_get_none() -> None:
    tiny = faces_at((50, 50, 60, 60))
    with_all = draw_faces(grey(100, 100), tiny)
    assert np.array_equal(with_all, draw_faces(grey(100, 100), tiny, scores=False, landmarks=False))
    assert changed(with_all).any()


@pytest.mark.parametrize(
    "box", [(10, 0, 60, 50), (70, 40, 140, 90), (-30, -30, 40, 40), (5, 60, 55, 100), (0, 0, 100, 100)]
)
def test_a_label_stays_inside_the_image_wherever_the_face_is(box: tuple[float, float, float, float]) -> None:
    plain = draw_faces(grey(100, 100), faces_at(box), scores=False, landmarks=False)
    labelled = draw_faces(grey(100, 100), faces_at(box), landmarks=False)
    label = (plain != labelled).any(axis=2)
    assert label.sum() > 150  # all of it: 11 pixels of text and a margin, some 25 wide


def test_labels_never_cover_each_other_and_the_higher_score_wins() -> None:
    box = (30, 40, 80, 90)
    low_first = faces_at(box, box, box, box, scores=[0.2, 0.9, 0.3, 0.1])
    only_best = draw_faces(grey(150, 150), faces_at(box, scores=[0.9]), landmarks=False)
    all_four = draw_faces(grey(150, 150), low_first, landmarks=False)
    assert np.array_equal(all_four[:40], only_best[:40])
    assert changed(all_four)[92:].any()  # the second found room below


def test_the_surest_face_is_drawn_on_top() -> None:
    boxes = [(100.0, 100.0, 900.0, 900.0), (500.0, 500.0, 1300.0, 1300.0)]
    for scores, sure in (([0.9, 0.5], (900, 500)), ([0.5, 0.9], (500, 900))):
        result = draw_faces(grey(1400, 1400), faces_at(*boxes, scores=scores), scores=False, landmarks=False)
        # Where the right side of the first crosses the top of the second, the line on top is unbroken.
        column, row = result[480:520, 900], result[500, 880:920]
        unbroken = [(line == BOX_COLOUR).all() for line in (column, row)]
        assert unbroken == ([True, False] if sure == (900, 500) else [False, True])


@settings(max_examples=60, deadline=None)
@given(
    boxes=st.lists(
        st.tuples(*[st.floats(-1e9, 1e9, width=32) | st.floats(-50, 200, width=32)] * 4), max_size=6
    ),
    size=st.sampled_from([(1, 1), (7, 30), (150, 100)]),
)
def test_no_box_and_no_size_of_image_breaks_drawing(boxes, size) -> None:  # type: ignore[no-untyped-def]
    image = grey(*size)
    result = draw_faces(image, faces_at(*boxes))
    assert result.shape == image.shape
    assert result.dtype == np.uint8
    assert (image == 120).all()


def test_a_crowd_is_drawn() -> None:
    boxes = [(x, y, x + 9 + y % 20, y + 9 + y % 20) for x in range(0, 990, 30) for y in range(0, 990, 30)]
    result = draw_faces(grey(1000, 1000), faces_at(*boxes))
    assert 0.05 < changed(result).mean() < 0.9
