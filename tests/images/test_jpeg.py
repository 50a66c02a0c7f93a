from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from ffcore.images.jpeg import jpeg_is_complete


def jpeg(**options: object) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def with_restarts() -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (80, 80, 3)).astype(np.uint8)
    ok, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_RST_INTERVAL, 2])
    assert ok
    assert b"\xff\xd3" in data.tobytes()
    return data.tobytes()


KINDS = {
    "baseline": jpeg(),
    "progressive": jpeg(progressive=True),
    "with restarts": with_restarts(),
    "with a thumbnail": jpeg(exif=b"Exif\x00\x00" + jpeg(quality=5)),
    "with a comment that looks like an end": jpeg(comment=b"\xff\xd9\xff\xd9"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_whole_file_is_complete_and_no_shorter_one(kind: str) -> None:
    data = KINDS[kind]
    assert jpeg_is_complete(data)
    assert not any(jpeg_is_complete(data[:length]) for length in range(len(data)))


@pytest.mark.parametrize("kind", KINDS)
def test_what_follows_the_end_does_not_matter_and_zeros_are_no_end(kind: str) -> None:
    data = KINDS[kind]
    for tail in (b"\x00" * 99, b"\xff\xd8\xff", b"text"):
        assert jpeg_is_complete(data + tail)
    assert not jpeg_is_complete(data[: len(data) // 2] + bytes(len(data)))


def test_fill_bytes_and_stray_bytes_between_segments_are_passed_over() -> None:
    data = jpeg()
    assert jpeg_is_complete(data[:2] + b"\xff\xff\xff" + data[2:])
    assert jpeg_is_complete(data[:2] + b"\x00\x17" + data[2:])
    assert jpeg_is_complete(data[:-2] + b"\xff" + data[-2:])


def test_something_else_is_not_complete() -> None:
    for data in (b"", b"\xff", b"\xff\xd8", b"\xff\xd9", b"\x89PNG\r\n\x1a\n\xff\xd9"):
        assert not jpeg_is_complete(data)
