from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ffcore.data import AnnotatedImage, read_sample
from ffcore.images import write_image
from tests.data.drawn import FACE_COLOURS, squares


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_faces_stay_on_their_pixels_when_a_photo_is_read_at_another_size(
    tmp_path: Path, scale: float
) -> None:
    drawn = squares(np.random.default_rng(3))
    path = tmp_path / "a.png"
    write_image(path, drawn.image)
    sample = read_sample(AnnotatedImage("event/a.jpg", path, drawn.faces, labelled=False), scale=scale)
    assert (sample.names, sample.labelled) == (("event/a.jpg",), False)
    height, width = drawn.image.shape[:2]
    np.testing.assert_allclose(sample.image.shape[:2], [height * scale, width * scale], atol=1)
    for number, colour in enumerate(FACE_COLOURS):
        everywhere = np.argwhere((sample.image == colour).all(axis=2))
        (y1, x1), (y2, x2) = everywhere.min(axis=0), everywhere.max(axis=0) + 1
        np.testing.assert_allclose(sample.faces.boxes[number], [x1, y1, x2, y2], atol=1)


def test_at_a_quarter_of_its_size_each_pixel_is_the_mean_of_sixteen(tmp_path: Path) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    write_image(tmp_path / "a.png", photo)
    faces = squares(np.random.default_rng(3)).faces
    small = read_sample(AnnotatedImage("a", tmp_path / "a.png", faces), scale=0.25)
    means = photo.reshape(12, 4, 16, 4, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(small.image, means, atol=0.5)
