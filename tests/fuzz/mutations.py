"""What happens to files on their way: cut, bits turned over, pieces lost, doubled or swapped, odd numbers."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")

ODD_NUMBERS = tuple(
    text.encode()
    for text in (
        *("nan", "-nan", "inf", "-Infinity", "1e400", "-1e400", "1e38", "4e38", "1e-400", "-0", "0", "-1"),
        *("1" + 400 * "0", "9" * 5000, str(2**31), str(2**63), str(-(2**63) - 1), str(2**64)),
        *("0x10", "1_000", "1,5", "٣", "true", "null", '""', "[]", "{}", "[[[[1]]]]", "1.2.3", "--1"),
    )
)

ODD_TEXT = tuple(
    text.encode("utf-8", "surrogatepass")
    for text in (
        *("\0", "\ufeff", "\r", "\r\n\r\n", "\n" * 50, "\t", " ", "\ud800", "é", "𝄞", "\x7f", "\x1b[2J"),
        *('"', "'", "\\", "../../../..", "/dev/zero", "/dev/stdin", "#", "=", "[", "{" * 2000, "[" * 2000),
    )
)


def mutated(data: bytes, source: random.Random, *, text: bool) -> bytes:
    """A damaged copy of a file's content.

    Args:
        data: The content.
        source: Of chance.
        text: Whether numbers and words in it can be told apart.
    """
    ways = _WAYS + (_TEXT_WAYS if text else ()) * 2
    for _ in range(source.choice((1, 1, 1, 2, 4))):
        data = source.choice(ways)(data, source)
    return data


def _place(data: bytes, source: random.Random) -> int:
    """A place in the file; often near an end of it, where formats keep what matters."""
    reach = max(source.choice((len(data), len(data), 512, 64)), 1)
    offset = source.randrange(min(reach, len(data)) or 1)
    return offset if source.random() < 0.6 else max(len(data) - 1 - offset, 0)


def _truncated(data: bytes, source: random.Random) -> bytes:
    return data[: _place(data, source)]


def _bits_flipped(data: bytes, source: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(source.choice((1, 1, 2, 8, 64))):
        if changed:
            changed[_place(data, source)] ^= 1 << source.randrange(8)
    return bytes(changed)


def _bytes_set(data: bytes, source: random.Random) -> bytes:
    start = _place(data, source)
    length = source.choice((1, 2, 4, 8))
    filler = source.choice((b"\0", b"\xff", b"\x7f", b"\x80", bytes([source.randrange(256)])))
    return data[:start] + filler * length + data[start + length :]


def _lost(data: bytes, source: random.Random) -> bytes:
    start = _place(data, source)
    return data[:start] + data[start + source.choice((1, 4, 16, 256, 4096)) :]


def _doubled(data: bytes, source: random.Random) -> bytes:
    start = _place(data, source)
    piece = data[start : start + source.choice((1, 4, 16, 256))]
    return data[:start] + piece * source.choice((2, 3, 50)) + data[start:]


def _swapped(data: bytes, source: random.Random) -> bytes:
    a, b = sorted((_place(data, source), _place(data, source)))
    return data[b:] + data[a:b] + data[:a]


def _number_replaced(data: bytes, source: random.Random) -> bytes:
    found = list(_NUMBER.finditer(data[:200_000]))
    if not found:
        return data
    number = source.choice(found)
    return data[: number.start()] + source.choice(ODD_NUMBERS) + data[number.end() :]


def _text_inserted(data: bytes, source: random.Random) -> bytes:
    start = _place(data, source)
    return data[:start] + source.choice(ODD_TEXT + ODD_NUMBERS) + data[start:]


def _line_moved(data: bytes, source: random.Random) -> bytes:
    lines = data.splitlines(keepends=True)
    if not lines:
        return data
    line = lines.pop(source.randrange(len(lines)))
    lines.insert(source.randrange(len(lines) + 1), line if source.random() < 0.7 else line * 3)
    return b"".join(lines)


Way = Callable[[bytes, random.Random], bytes]
_WAYS: tuple[Way, ...] = (_truncated, _bits_flipped, _bits_flipped, _bytes_set, _lost, _doubled, _swapped)
_TEXT_WAYS: tuple[Way, ...] = (_number_replaced, _number_replaced, _text_inserted, _line_moved)
