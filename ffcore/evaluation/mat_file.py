"""Cells, text and numbers in MATLAB v5 files, read without trust in what the file says of its sizes.

SciPy's compiled reader goes by the sizes in the file and takes the whole process with it when a damaged one
lies; this one checks each of them against what is there.

Source: MathWorks, "MAT-File Format", the chapter on Level 5.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_LETTERS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
_CELL, _CHARS, _NUMERIC = 1, 4, range(6, 16)  # classes of arrays
_COMPLEX = 0x08
_DEEPEST = 8  # cells within cells
_LARGEST = 2**28  # bytes of one variable; those of WIDER FACE have 10 MB
_HEAD = 4096  # bytes that hold the name of a variable in any case


def read_mat(
    content: bytes, names: Collection[str], *, known: dict[bytes, NDArray[Any]] | None = None
) -> dict[str, NDArray[Any]]:
    """Read variables of a file.

    Args:
        content: Of the file.
        names: The variables wanted; others are passed over unread.
        known: Variables of other files by their bytes, to be handed out again; what is read is added.

    Returns:
        Those that are there. Cells are arrays of objects, a line of text is an array of one string, numbers
        keep the type in which they are stored. Cells and numbers have their own shape.

    Raises:
        ValueError: The content is none of MATLAB v5, or damaged.
    """
    order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
    if order is None or len(content) < _HEADER or struct.unpack(f"{order}H", content[124:126])[0] >> 8 != 1:
        raise ValueError("it does not begin like one; version 7.3 is another format")
    known = {} if known is None else known
    found: dict[str, NDArray[Any]] = {}
    reader = _Reader(memoryview(content)[_HEADER:], order)
    while not reader.at_end:
        kind, data = reader.element()
        if kind == _COMPRESSED:
            inflate = zlib.decompressobj()
            head = _inflated(inflate, data, _HEAD)
            kind, data = _Reader(memoryview(head), order).element(whole=False)
            if kind == _MATRIX and _named(data, order) in names:
                rest = _inflated(inflate, inflate.unconsumed_tail, _LARGEST)
                if not inflate.eof:
                    raise ValueError("a variable is cut short or larger than any list of faces")
                kind, data = _Reader(memoryview(head + rest), order).element()
        if kind == _MATRIX and (name := _named(data, order)) in names:
            key = bytes(data)
            if key not in known:
                known[key] = _Reader(data, order).array(depth=0)
            found[name] = known[key]
    return found


class _Reader:
    """Takes one element after the other from a stretch of bytes."""

    def __init__(self, data: memoryview, order: str) -> None:
        self._data = data
        self._order = order
        self._place = 0

    @property
    def at_end(self) -> bool:
        """Whether nothing is left; less than a tag can only be padding."""
        return self._place + 8 > len(self._data)

    def element(self, *, whole: bool = True) -> tuple[int, memoryview]:
        """The type and the bytes of the next element; with `whole` false, as many of these as there are."""
        if self.at_end:
            raise ValueError("it ends in the middle of a variable")
        kind, size = struct.unpack_from(f"{self._order}II", self._data, self._place)
        if kind >> 16:  # up to four bytes, in the place of their number
            start, size, kind = self._place + 4, kind >> 16, kind & 0xFFFF
            self._place += 8
            if size > 4:
                raise ValueError(f"an element of {size} bytes stands where four have room")
        else:
            start = self._place + 8
            # only what is compressed is not filled up to eight bytes
            self._place = start + (size if kind == _COMPRESSED else -(-size // 8) * 8)
        if whole and start + size > len(self._data):
            raise ValueError("it ends in the middle of a variable")
        return kind, self._data[start : start + size]

    def array(self, *, depth: int) -> NDArray[Any]:
        """The array that the bytes of a matrix element describe."""
        if not len(self._data):
            return np.zeros((0, 0))
        flags, shape = self._flags(), self._shape()
        self.element()  # the name
        kind = flags & 0xFF
        if kind == _CELL:
            return self._cells(shape, depth)
        if kind == _CHARS:
            return self._text(shape)
        if kind in _NUMERIC and not (flags >> 8) & _COMPLEX:
            return self._numbers(shape)
        raise ValueError(f"it holds an array of class {kind}, neither cells nor text nor real numbers")

    def name(self) -> str:
        """Of the variable."""
        self._flags()
        self._shape()
        return bytes(self.element()[1]).decode("latin-1")

    def _flags(self) -> int:
        kind, data = self.element()
        if kind != 6 or len(data) != 8:
            raise ValueError("a variable does not begin with its flags")
        return int(struct.unpack_from(f"{self._order}I", data)[0])

    def _shape(self) -> tuple[int, ...]:
        kind, data = self.element()
        if kind != 5 or len(data) % 4 or len(data) < 8:
            raise ValueError("a variable has no shape")
        shape = struct.unpack(f"{self._order}{len(data) // 4}i", data)
        if min(shape) < 0 or math.prod(shape) > _LARGEST:
            raise ValueError(f"a variable has the shape {shape[:4]}")
        return shape

    def _cells(self, shape: tuple[int, ...], depth: int) -> NDArray[Any]:
        count = math.prod(shape)
        if depth >= _DEEPEST or count > (len(self._data) - self._place) // 8:
            raise ValueError(f"{count} cells are announced where they have no room")
        cells = np.empty(count, np.object_)
        for number in range(count):
            kind, data = self.element()
            if kind != _MATRIX:
                raise ValueError("a cell holds no array")
            cells[number] = _Reader(data, self._order).array(depth=depth + 1)
        return cells.reshape(shape, order="F")

    def _text(self, shape: tuple[int, ...]) -> NDArray[Any]:
        kind, data = self.element()
        if kind not in _LETTERS:
            raise ValueError(f"text is stored as type {kind}")
        encoding = _LETTERS[kind]
        if encoding in ("utf-16", "utf-32"):
            encoding += "-le" if self._order == "<" else "-be"
        text = bytes(data).decode(encoding)
        if len(text) != math.prod(shape):
            raise ValueError(f"{math.prod(shape)} letters are announced, {len(text)} follow")
        return np.array([text] if len(shape) == 2 and shape[0] == 1 and text else [], np.str_)

    def _numbers(self, shape: tuple[int, ...]) -> NDArray[Any]:
        kind, data = self.element()
        if kind not in _NUMBERS:
            raise ValueError(f"numbers are stored as type {kind}")
        numbers = np.dtype(self._order + _NUMBERS[kind])
        if len(data) != math.prod(shape) * numbers.itemsize:
            raise ValueError(f"{math.prod(shape)} numbers are announced, {len(data)} bytes follow")
        native: NDArray[Any] = np.frombuffer(data, numbers).astype(numbers.newbyteorder("="))
        return native.reshape(shape, order="F")


def _named(data: memoryview, order: str) -> str:
    """The name of the variable whose matrix element has these bytes."""
    return _Reader(data, order).name() if len(data) else ""


def _inflated(inflate: Any, data: bytes | memoryview, most: int) -> bytes:
    try:
        content: bytes = inflate.decompress(data, most)
    except zlib.error as error:
        raise ValueError(f"a variable cannot be unpacked: {error}") from None
    return content
