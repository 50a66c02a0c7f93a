"""Opens what takes part in a benchmark, and loads the library that runs it."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Literal

from ffcore.benchmark.candidate import Candidate
from ffcore.benchmark.options import BenchmarkOptions
from ffcore.errors import MissingDependencyError


def open_candidate(path: Path, kind: Literal["detector", "network"], options: BenchmarkOptions) -> Candidate:
    """Opens a file as what it is meant to be.

    Raises:
        CheckpointError: It is not that.
        ConfigError: It cannot be run with these options.
        MissingDependencyError: The library or the device is not there.
    """
    # Inside, so that a process that measures memory loads one engine only.
    if kind == "detector":
        from ffcore.benchmark.detector import DetectorCandidate

        return DetectorCandidate(path, options)
    from ffcore.benchmark.network import NetworkCandidate

    return NetworkCandidate(path, options)


def load_engine(backend: str) -> None:
    """Loads what runs the networks, and nothing of them yet.

    Raises:
        MissingDependencyError: It is not installed.
    """
    try:
        if backend == "torch":
            importlib.import_module("ffcore.detection.torch_backend")
            importlib.import_module("ffcore.models.weights")
        else:
            importlib.import_module(f"ffcore.detection.{backend}_session")
    except ImportError as error:
        raise MissingDependencyError(f"{backend} cannot be loaded: {error}") from error


def engine_version(backend: str) -> str:
    """The version of the library, which is loaded."""
    return str(sys.modules[backend].__version__)
