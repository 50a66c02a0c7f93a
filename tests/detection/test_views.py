from __future__ import annotations

import numpy as np
import pytest

from ffcore.detection.options import DetectorOptions
from ffcore.detection.views import CLOSE_UP_FACE, CLOSE_UP_FROM, CLOSE_UP_SIDE, views
from ffcore.faces import Faces
from tests.detection.toys import photo


def shapes(
    height: int, width: int, *, fixed: tuple[int, int] | None = None, **options: object
) -> list[tuple]:
    made = views(photo(height, width), options=DetectorOptions(**options), size=fixed)  # type: ignore[arg-type]
    return [view.resized.image.shape[:2] for view in made]


def face(x1: float, y1: float, x2: float, y2: float) -> Faces:
    return Faces(boxes=[[x1, y1, x2, y2]], scores=[0.9], landmarks=np.full((1, 5, 2), 5.0))


@pytest.mark.parametrize(
    ("height", "width", "options", "expected"),
    [
        (480, 640, {}, [(480, 640)]),  # at its own size
        (100, 100, {}, [(128, 128)]),  # filled up to 32
        (1000, CLOSE_UP_FROM, {}, [(1024, 1024)]),  # not yet large
        (1000, CLOSE_UP_FROM + 1, {}, [(1024, 1056), (480, CLOSE_UP_SIDE)]),
        (3000, 4000, {}, [(1536, 2048), (384, 480)]),  # shrunk, and seen again
        (3000, 4000, {"close_ups": False}, [(1536, 2048)]),
        (3000, 4000, {"max_side": None, "close_ups": False}, [(3008, 4000)]),
        (3000, 4000, {"max_side": 640}, [(480, 640)]),
        (3000, 4000, {"size": 640}, [(640, 640)]),
        (3000, 4000, {"size": (480, 640)}, [(480, 640)]),
        (600, 900, {"tile": 640}, [(608, 640)] * 2 + [(448, 640)]),  # two tiles and the whole
        (600, 600, {"tile": 640}, [(608, 608)]),  # nothing to cut
        (1000, 3000, {"tile": 2048}, [(1024, 2048)] * 2 + [(352, 1024)]),  # the whole is one easy look
    ],
)
def test_what_the_network_gets_to_see(
    height: int, width: int, options: dict, expected: list[tuple[int, int]]
) -> None:
    assert shapes(height, width, **options) == expected


def test_a_network_with_a_fixed_input_gets_that_size_for_tiles_too() -> None:
    assert shapes(3000, 4000, fixed=(320, 320)) == [(320, 320)]
    assert set(shapes(600, 900, fixed=(640, 640), tile=640)) == {(640, 640)}


def test_only_faces_too_large_for_the_first_look_count_in_the_second() -> None:
    first, second = views(photo(3000, 4000), options=DetectorOptions())
    scale = 2048 / 4000
    assert first.smallest == 0
    assert second.smallest == pytest.approx(CLOSE_UP_FACE / scale)
    small = 480 / 4000
    high, low = CLOSE_UP_FACE / scale * small + 1, CLOSE_UP_FACE / scale * small - 1
    assert len(second.faces_in_photo(face(10, 10, 60, 10 + high))) == 1
    assert len(second.faces_in_photo(face(10, 10, 60, 10 + low))) == 0


def test_faces_of_a_tile_come_back_in_photo_pixels_from_the_tile_that_owns_them() -> None:
    left, right, _ = views(photo(600, 900), options=DetectorOptions(tile=640))
    assert right.tile is not None
    assert right.tile.x1 == 260
    (found,) = right.faces_in_photo(face(300, 50, 320, 70))
    assert np.allclose(found.boxes, [[560, 50, 580, 70]])
    assert np.allclose(found.landmarks[0, 0], [265, 5])
    assert len(left.faces_in_photo(face(560, 50, 580, 70))) == 0
