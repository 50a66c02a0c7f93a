"""How a detector looks at photos."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ffcore.errors import ConfigError

SMALLEST_TILE = 128

LARGEST_INPUT = 2**26
"""Pixels of one input, 8192 × 8192: a network takes some hundred bytes for each, and no machine more."""


@dataclass(frozen=True, kw_only=True)
class DetectorOptions:
    """Settings of `ffcore.detection.FaceDetector`.

    Raises:
        ConfigError: A value is out of range, or two values exclude each other.
    """

    score: float = 0.5
    """Faces must score more than this, 0..1. For measuring precision and recall use 0.02."""
    nms: float = 0.4
    """Boxes that overlap a better one by more than this IoU are dropped, 0..1."""
    candidates: int = 5000
    """At most so many boxes of one input go into NMS."""
    max_faces: int = 750
    """At most so many faces of a photo are reported."""
    max_side: int | None = 2048
    """Photos whose longer side has more pixels are shrunk to it; None leaves every photo as it is, which
    finds smaller faces and takes time and memory in proportion to the pixels."""
    size: int | tuple[int, int] | None = None
    """Side, or height and width, of a fixed input into which photos are fitted. Replaces `max_side`."""
    short_sides: tuple[int, ...] = ()
    """Look once for each of these, the photo's shorter side resized to it (the longer still at most
    `max_side`). Replaces `close_ups`."""
    multiple: int = 32
    """Inputs are filled up with the mean colour to a multiple of this, so that photos of similar sizes
    share a batch. 1 shows the network the photo and nothing else, as the published figures were made."""
    mirror: bool = False
    """Take every look at the mirrored photo too."""
    merge: Literal["nms", "vote"] = "nms"
    """How the faces of several looks become one list; "vote" averages their boxes."""
    tile: int | None = None
    """Side of the tiles into which photos are cut, for small faces in very large photos: they are seen
    at full size, whatever `max_side` says, and memory stays that of one batch of tiles."""
    close_ups: bool = True
    """Look at large photos a second time at a small scale, for faces larger than the largest anchor."""
    batch: int = 8
    """At most so many inputs of equal size run together."""
    clip: bool = False
    """Cut boxes at the borders of the photo. Boxes of faces at the border reach beyond it otherwise,
    as the WIDER FACE protocol wants them."""

    def __post_init__(self) -> None:
        for name in ("score", "nms"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
                raise ConfigError(f"{name} = {value!r}: a number from 0 to 1 is needed")
        for name in ("candidates", "max_faces", "multiple", "batch"):
            _check_whole(name, getattr(self, name), least=1)
        if self.max_side is not None:
            _check_whole("max_side", self.max_side, least=1)
        if self.tile is not None:
            _check_whole("tile", self.tile, least=SMALLEST_TILE)
            _check_input("tile", (self.tile, self.tile))
        if self.merge not in ("nms", "vote"):
            raise ConfigError(f"merge = {self.merge!r}: choose nms or vote")
        for side in self.short_sides:
            _check_whole("short_sides", side, least=1)
        if self.short_sides and (self.size is not None or self.tile is not None):
            raise ConfigError("short_sides exclude size and tile")
        if self.size is not None:
            sides = self.size if isinstance(self.size, tuple) else (self.size, self.size)
            if len(sides) != 2:
                raise ConfigError(f"size = {self.size!r}: a side, or height and width, is needed")
            for side in sides:
                _check_whole("size", side, least=1)
            _check_input("size", sides)

    @property
    def input_size(self) -> tuple[int, int] | None:
        """Height and width of the fixed input, or None."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size


def _check_whole(name: str, value: object, *, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"{name} = {value!r}: a whole number of at least {least} is needed")


def _check_input(name: str, sides: tuple[int, ...]) -> None:
    if sides[0] * sides[-1] > LARGEST_INPUT:
        raise ConfigError(
            f"{name} = {sides[0]} x {sides[-1]}: an input has at most {LARGEST_INPUT:,} pixels, "
            "8192 x 8192; for small faces in larger photos use tile"
        )
