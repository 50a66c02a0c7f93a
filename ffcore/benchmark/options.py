"""How a benchmark is run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from ffcore.detection.loading import Library
from ffcore.detection.options import LARGEST_INPUT
from ffcore.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class BenchmarkOptions:
    """Settings of `ffcore.benchmark.benchmark`, the same for all candidates.

    Raises:
        ConfigError: A value is out of range.
    """

    size: tuple[int, int] = (640, 640)
    """Height and width of the networks' input, pixels."""
    batch: int = 1
    """Photos in one run."""
    threads: int = 1
    """Of the CPU, for the networks, for decoding and for resizing."""
    device: str = "cpu"
    """As `ffcore.detection.FaceDetector.load` takes it."""
    backend: Library | None = None
    """What must run the detectors, and the other networks too where it runs ONNX files; None takes what fits
    each file."""
    rounds: int = 30
    """In each of them every candidate runs once."""
    warmup: int = 3
    """Rounds before these that are not counted."""
    photo: Path | None = None
    """What is read and looked at; None draws a picture of 1024×768 pixels."""
    memory: bool = True
    """Whether memory is measured too, in one more process for each candidate."""

    def __post_init__(self) -> None:
        if self.backend not in (None, *get_args(Library)):
            raise ConfigError(f"backend = {self.backend!r}: choose one of {', '.join(get_args(Library))}")
        if min(self.size) < 1:
            raise ConfigError(f"size = {self.size}: height and width of at least 1 pixel are needed")
        if self.batch * self.size[0] * self.size[1] > LARGEST_INPUT:
            raise ConfigError(
                f"size = {self.size}, batch = {self.batch}: a run has at most {LARGEST_INPUT:,} pixels in all"
            )
        for name, least in (("batch", 1), ("threads", 1), ("rounds", 1), ("warmup", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} = {getattr(self, name)}: at least {least} is needed")
