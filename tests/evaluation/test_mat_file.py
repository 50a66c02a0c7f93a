from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import loadmat, savemat

from ffcore.evaluation.mat_file import read_mat

NUMBERS = (
    np.uint8,
    np.int8,
    np.uint16,
    np.int16,
    np.uint32,
    np.int32,
    np.int64,
    np.uint64,
    np.float32,
    float,
)


def written(content: dict[str, object], *, compressed: bool = False) -> bytes:
    file = io.BytesIO()
    savemat(file, content, do_compression=compressed)
    return file.getvalue()


def cells(values: list[object]) -> np.ndarray:
    column = np.empty((len(values), 1), dtype=object)
    for number, value in enumerate(values):
        column[number, 0] = value
    return column


def assert_same(ours: np.ndarray, theirs: np.ndarray) -> None:
    assert (ours.dtype.kind, ours.shape) == (theirs.dtype.kind, theirs.shape)
    if ours.dtype == object:
        for one, other in zip(ours.ravel(), theirs.ravel(), strict=True):
            assert_same(one, other)
    else:
        np.testing.assert_array_equal(ours, theirs)


@given(
    st.sampled_from(NUMBERS),
    st.integers(0, 4),
    st.integers(0, 4),
    st.text(st.characters(max_codepoint=0x2FFF, exclude_categories=["Cs"]), min_size=1, max_size=9),
    st.booleans(),
)
def test_cells_text_and_numbers_are_what_scipy_reads(
    kind: type, rows: int, columns: int, text: str, compressed: bool
) -> None:
    numbers = (np.arange(rows * columns) * 7 % 120).astype(kind).reshape(rows, columns)
    content = {"a": cells([cells([numbers, text]), cells([]), numbers.T]), "b": numbers, "other": text}
    file = written(content, compressed=compressed)
    ours, theirs = read_mat(file, ("a", "b", "missing")), loadmat(io.BytesIO(file))
    assert sorted(ours) == ["a", "b"]
    assert_same(ours["a"], theirs["a"])
    assert_same(ours["b"], theirs["b"])


def test_variables_that_other_files_repeat_are_read_once() -> None:
    file, known = written({"a": cells([np.ones((3, 4))])}), {}
    assert read_mat(file, ("a",), known=known)["a"] is read_mat(file, ("a",), known=known)["a"]


@given(st.data())
def test_a_file_that_was_cut_is_an_error_or_has_lost_a_variable(data: st.DataObject) -> None:
    file = written({"a": cells([np.ones((3, 4)), "text"])}, compressed=data.draw(st.booleans()))
    part = file[: data.draw(st.integers(0, len(file) - 9))]
    try:
        assert "a" not in read_mat(part, ("a",))
    except ValueError as error:
        assert str(error)  # noqa: PT017  # either way is right


@pytest.mark.parametrize("compressed", [False, True])
def test_sizes_that_lie_are_an_error(compressed: bool) -> None:
    """Such a file ends the process when SciPy reads it."""
    plain = written({"a": cells([np.ones((3, 4)), np.ones((2, 4))])})
    start = 128 + 8
    for shape in ((10**6, 1), (2**30, 2), (-1, 2), (3, 1), (1, 1)):
        lying = bytearray(plain)
        struct.pack_into("<ii", lying, start + 24, *shape)
        if compressed:
            packed = zlib.compress(bytes(lying[128:]))
            lying = lying[:128] + struct.pack("<II", 15, len(packed)) + packed
        if shape == (1, 1):  # one cell less than there is: what is behind it is not asked for
            assert read_mat(bytes(lying), ("a",))["a"].shape == (1, 1)
            continue
        with pytest.raises(ValueError, match=r"shape|cells|ends"):
            read_mat(bytes(lying), ("a",))


def test_cells_within_cells_without_end_are_an_error() -> None:
    value: object = np.ones((1, 1))
    for _ in range(12):
        value = cells([value])
    with pytest.raises(ValueError, match="no room"):
        read_mat(written({"a": value}), ("a",))


@pytest.mark.parametrize("content", [b"", b"MATLAB 5.0", b"\x89HDF\r\n\x1a\n" + bytes(600), bytes(200)])
def test_what_is_no_such_file_is_an_error(content: bytes) -> None:
    with pytest.raises(ValueError, match="does not begin like one"):
        read_mat(content, ("a",))
