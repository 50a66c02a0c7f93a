from __future__ import annotations

import numpy as np

from ffcore.data import LabelledFaces, Sample
from ffcore.data.collate import Batch, collate
from ffcore.data.preview import IGNORED_COLOUR, WITHOUT_LANDMARKS_COLOUR, contact_sheet, draw_batch
from ffcore.images.draw import BOX_COLOUR, LANDMARK_COLOURS

POINTS = np.array([[25, 25], [45, 25], [35, 35], [25, 45], [45, 45]], np.float32)


def batch_of(count: int = 1) -> Batch:
    faces = LabelledFaces.of(
        [[15, 15, 55, 55], [60, 60, 80, 80], [60, 10, 80, 30]],
        landmarks=np.stack([POINTS] * 3),
        has_landmarks=[True, False, False],
        ignore=[False, False, True],
    )
    return collate([Sample(np.zeros((100, 100, 3), np.uint8), faces)] * count)


def test_each_kind_of_face_is_drawn_in_its_colour_just_inside_its_box() -> None:
    (picture,) = draw_batch(batch_of())
    for (x1, y1, x2, y2), colour in (
        ((15, 15, 55, 55), BOX_COLOUR),
        ((60, 60, 80, 80), WITHOUT_LANDMARKS_COLOUR),
        ((60, 10, 80, 30), IGNORED_COLOUR),
    ):
        rows, columns = np.nonzero((picture == colour).all(axis=-1))
        assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (x1, y1, x2, y2)


def test_landmarks_are_drawn_where_they_are_and_only_where_they_are_known() -> None:
    (picture,) = draw_batch(batch_of())
    for (x, y), colour in zip(POINTS.astype(int), LANDMARK_COLOURS, strict=True):
        around = picture[y - 2 : y + 2, x - 2 : x + 2].reshape(-1, 3)
        assert (around == colour).all(axis=-1).any()
    assert not picture[62:78, 62:78].any()
    assert not picture[:10, :10].any()


def test_drawing_leaves_the_batch_alone() -> None:
    batch = batch_of()
    draw_batch(batch)
    assert not batch.images.any()


def test_a_sheet_holds_all_pictures_in_rows() -> None:
    assert contact_sheet(batch_of(5)).shape == (2 * 104 - 4, 3 * 104 - 4, 3)
    assert contact_sheet(batch_of(5), columns=5).shape == (100, 5 * 104 - 4, 3)
    assert contact_sheet(batch_of(1), columns=4).shape == (100, 100, 3)
