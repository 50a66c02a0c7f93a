from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffcore.errors import ConfigError
from ffcore.geometry import AnchorConfig, anchor_count, anchors


def test_the_first_cell_by_hand() -> None:
    table = anchors(40, 80)
    assert np.allclose(table[0], [4 / 80, 4 / 40, 16 / 80, 16 / 40])
    assert np.allclose(table[1], [4 / 80, 4 / 40, 32 / 80, 32 / 40])
    assert np.allclose(table[2], [12 / 80, 4 / 40, 16 / 80, 16 / 40])
    assert np.allclose(table[-1], [80 / 80, 48 / 40, 512 / 80, 512 / 40])


@given(st.integers(1, 300), st.integers(1, 300))
def test_the_count_is_the_number_of_rows(height: int, width: int) -> None:
    assert anchor_count(height, width) == len(anchors(height, width))


def test_published_counts() -> None:
    sizes = [(64, 64), (97, 131), (128, 128), (320, 320), (640, 640)]
    assert [anchor_count(*size) for size in sizes] == [168, 608, 672, 4200, 16800]


def test_the_shared_table_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        anchors(64, 64)[0] = 0


def test_another_configuration_has_another_table() -> None:
    one = AnchorConfig(min_sizes=((8, 16, 24),), strides=(4,))
    table = anchors(8, 12, one)
    assert table.shape == (2 * 3 * 3, 4)
    assert np.allclose(table[:3, 2] * 12, [8, 16, 24])


@pytest.mark.parametrize(
    "change",
    [
        {"strides": (8, 16)},
        {"strides": (8, 16, 0)},
        {"min_sizes": ((16,), (), (64,))},
        {"min_sizes": ((16,), (32,), (-64,))},
        {"variances": (0.1, 0.0)},
        {"variances": (0.1, float("nan"))},
    ],
)
def test_an_impossible_configuration_is_an_error(change: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        AnchorConfig(**change)  # type: ignore[arg-type]


def test_an_image_without_pixels_has_no_anchors() -> None:
    with pytest.raises(ConfigError, match="0 x 5"):
        anchors(0, 5)


@pytest.mark.reference
@pytest.mark.parametrize("size", ["64x64", "97x131", "128x128", "640x640"])
def test_tables_equal_the_published_ones_bit_for_bit(size: str, reference: Path) -> None:
    golden = np.load(reference / "golden" / "anchors.npz")
    height, width = map(int, size.split("x"))
    table = anchors(height, width)
    assert hashlib.sha256(table.astype("<f4").tobytes()).hexdigest() == str(golden[f"{size}/sha256"])
    assert np.array_equal(table[:8], golden[f"{size}/first8"])
