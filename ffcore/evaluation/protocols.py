"""Under which conditions a detector is measured: one visible table.

A protocol is nothing but options of the detector under a name. It changes published numbers more than most
networks differ, so it is recorded beside every result.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ffcore.detection.options import DetectorOptions
from ffcore.errors import ConfigError, did_you_mean

_COMMON = DetectorOptions(score=0.02, nms=0.4, max_faces=750, max_side=None, multiple=1, close_ups=False)

PROTOCOLS: dict[str, DetectorOptions] = {
    # every photo at its own size
    "original": _COMMON,
    # fits 640×480 (480×640 upright), as SCRFD reports it
    "vga": replace(_COMMON, short_sides=(480,), max_side=640),
    # shorter side 1600, longer at most 2150, as the public RetinaFace script has it
    "1600": replace(_COMMON, short_sides=(1600,), max_side=2150),
    # five scales and their mirror images, merged by vote
    "multiscale": replace(
        _COMMON, short_sides=(500, 800, 1100, 1400, 1700), max_side=2550, mirror=True, merge="vote"
    ),
}


@dataclass(frozen=True)
class Protocol:
    """The conditions of one measurement.

    Args:
        name: One of `PROTOCOLS`.
        options: What the detector is told.
        changed: Fields in which the options differ from those of the name.
    """

    name: str
    options: DetectorOptions
    changed: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The name, with what was changed: ``original, score=0.1``."""
        changes = [f"{field}={getattr(self.options, field)}" for field in self.changed]
        return ", ".join([self.name, *changes])

    def to_dict(self) -> dict[str, Any]:
        """What a reader of a result must know, as plain values."""
        options = self.options
        return {
            "name": self.label,
            "size": _size_in_words(options),
            "score": options.score,
            "nms": options.nms,
            "kept": options.max_faces,
            "mirror": options.mirror,
            "merge": options.merge,
        }


def protocol(name: str, **changes: Any) -> Protocol:
    """A protocol by name, with single settings changed.

    Args:
        name: One of `PROTOCOLS`.
        **changes: Fields of `DetectorOptions`.

    Raises:
        ConfigError: An unknown name, or an impossible value.
    """
    if name not in PROTOCOLS:
        raise ConfigError(f"protocol {name!r} is unknown: {did_you_mean(name, PROTOCOLS)}")
    known = PROTOCOLS[name]
    options = replace(known, **changes)
    changed = tuple(field for field in changes if getattr(options, field) != getattr(known, field))
    return Protocol(name, options, changed)


def _size_in_words(options: DetectorOptions) -> str:
    longest = "" if options.max_side is None else f"longer side at most {options.max_side}"
    if options.input_size is not None:
        words = "fitted into {}×{}".format(*options.input_size)
    elif options.tile is not None:
        words = f"tiles of {options.tile}"
    elif options.short_sides:
        sides = ", ".join(map(str, options.short_sides))
        words = f"shorter side {sides}" + (f", {longest}" if longest else "")
    else:
        words = longest or "as it is"
    if options.multiple > 1:
        words += f", filled up to multiples of {options.multiple}"
    return words + (", close-ups again at a small scale" if options.close_ups else "")
