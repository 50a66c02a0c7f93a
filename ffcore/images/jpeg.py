"""Proof that a JPEG is whole.

OpenCV decodes half a JPEG without a word and fills the rest with grey; Pillow notices a file that
stops, but not one whose missing half was replaced by zeros, as a broken download leaves it.
"""

from __future__ import annotations

import re

_EOI = b"\xff\xd9"
# Within entropy-coded data a byte FF is followed by 00, by a restart marker D0..D7, or by another
# fill byte FF; anything else begins the next segment (ITU T.81, B.1.1.2 and B.1.1.5).
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_WITHOUT_LENGTH = frozenset((0x01, *range(0xD0, 0xD9)))
_SOS = 0xDA


def jpeg_is_complete(data: bytes) -> bool:
    """Whether the first picture of a JPEG file reaches its end marker.

    Args:
        data: The whole file. What follows the end marker (padding, a second picture, a camera's
            own data) does not matter.

    Returns:
        True when the end is proven; the entropy-coded data in between is not decoded.

    Source: ITU T.81, annex B, for the order of markers and segments.
    """
    if not data.startswith(b"\xff\xd8"):
        return False
    # By the rule above a cut through entropy-coded data cannot leave these two bytes at the end. A
    # cut behind an embedded thumbnail can, but then the size of the picture is missing and whoever
    # reads the header has already complained.
    if data.endswith(_EOI):
        return True
    at = 2
    while at + 1 < len(data):
        if data[at] != 0xFF:
            return False
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker == _EOI[1]:
            return True
        elif marker in _WITHOUT_LENGTH:
            at += 2
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
            if marker == _SOS:
                found = _NEXT_MARKER.search(data, at)
                if found is None:
                    return False
                at = found.start()
    return False
