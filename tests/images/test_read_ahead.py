from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from ffcore.errors import ImageError
from ffcore.images import read_ahead as module
from ffcore.images import write_image
from ffcore.images.read_ahead import read_ahead


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{i}.png" for i in range(12)]
    for i, path in enumerate(paths):
        write_image(path, np.full((4, 4, 3), i, np.uint8))
    return paths


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The photos that have been read so far."""
    read: list[Path] = []
    real = module.read_image

    def counted(path: Path) -> np.ndarray:
        read.append(path)
        return real(path)

    monkeypatch.setattr(module, "read_image", counted)
    return read


def test_photos_come_in_their_order(photos: list[Path]) -> None:
    images = list(read_ahead(photos))
    assert [int(image[0, 0, 0]) for image in images] == list(range(12))  # type: ignore[index]


def test_a_photo_that_cannot_be_read_is_an_error_in_its_place(photos: list[Path]) -> None:
    photos[3].write_bytes(b"nothing")
    images = list(read_ahead(photos))
    assert [isinstance(image, ImageError) for image in images] == [i == 3 for i in range(12)]


def test_no_more_is_read_than_may_wait(photos: list[Path], read: list[Path]) -> None:
    images = read_ahead(photos, depth=3)
    next(images)
    images.close()  # type: ignore[attr-defined]
    assert len(read) <= 4


def test_nothing_to_read_gives_nothing() -> None:
    assert list(read_ahead([])) == []


def test_large_photos_do_not_pile_up(
    photos: list[Path], read: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAITING_BYTES", 1)
    for number, _ in enumerate(read_ahead(photos, depth=8), start=1):
        time.sleep(0.02)  # time enough to read all of them
        assert len(read) <= number + 1
    assert len(read) == 12


def test_stopping_early_ends_a_reader_that_waits(photos: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING_BYTES", 1)
    images = read_ahead(photos, depth=8)
    next(images)
    time.sleep(0.02)
    images.close()  # type: ignore[attr-defined]  # would hang if the reader went on waiting
