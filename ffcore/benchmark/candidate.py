"""What takes part in a benchmark."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from ffcore.detection.facts import PREFIX

_AP = "ap."
_PROTOCOL = "ap.protocol"


@dataclass(frozen=True)
class Around:
    """Seconds around the network in one round, and the faces that were found.

    Args:
        read: See `ffcore.benchmark.Stages`, likewise the others.
        preprocess: Resize, mean, layout.
        postprocess: Decode, NMS.
        end_to_end: All, in a run of its own.
        faces: In one photo.
    """

    read: float
    preprocess: float
    postprocess: float
    end_to_end: float
    faces: int


@dataclass(frozen=True)
class Sample:
    """One round of one candidate.

    Args:
        network: Seconds of the forward pass.
        around: None for a network of others.
    """

    network: float
    around: Around | None = None


class Candidate(Protocol):
    """A file that is open and ready to run."""

    @property
    def path(self) -> Path:
        """Its file."""

    @property
    def kind(self) -> Literal["detector", "network"]:
        """As what it was opened."""

    @property
    def backend(self) -> str:
        """The library that runs it."""

    @property
    def device(self) -> str:
        """What really computes."""

    @property
    def batch(self) -> int:
        """Photos in one run."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of its input, pixels."""

    @property
    def facts(self) -> Mapping[str, str]:
        """All entries of the file, ours with their prefix."""

    def round(self, photo: Path) -> Sample:
        """Does everything once and says how long it took."""

    def run(self) -> None:
        """Runs the network alone, on anything."""


def stated_aps(facts: Mapping[str, str]) -> tuple[dict[str, float], str]:
    """The APs that a file states, 0..1 by subset, and the protocol, or "".

    Entries that are no such number are passed over: they are remarks.
    """
    own = {key.removeprefix(PREFIX): text for key, text in facts.items() if key.startswith(PREFIX + _AP)}
    protocol = own.pop(_PROTOCOL, "")
    found = {}
    for key, text in own.items():
        try:
            value = float(text)
        except ValueError:
            continue
        if math.isfinite(value) and 0 <= value <= 1:
            found[key.removeprefix(_AP)] = value
    return found, protocol
