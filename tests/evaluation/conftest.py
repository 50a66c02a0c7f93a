"""The golden numbers of the evaluation, and its archives unpacked once."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ffcore.evaluation.ground_truth import GroundTruth
from ffcore.evaluation.predictions import Predictions, read_predictions
from ffcore.evaluation.wider_mat import read_wider_ground_truth


@pytest.fixture(scope="session")
def folder(reference: Path) -> Path:
    return reference / "evaluation"


@pytest.fixture(scope="session")
def golden(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "golden.json").read_text())


@pytest.fixture(scope="session")
def unpacked(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder that an archive was unpacked to."""
    done: dict[str, Path] = {}

    def unpack(name: str) -> Path:
        if name not in done:
            done[name] = tmp_path_factory.mktemp(name)
            with tarfile.open(folder / f"{name}.tar.xz") as archive:
                archive.extractall(done[name], filter="data")
        return done[name]

    return unpack


@pytest.fixture(scope="session")
def official(folder: Path) -> GroundTruth:
    return read_wider_ground_truth(folder / "ground_truth")


@pytest.fixture(scope="session")
def predictions_of(official: GroundTruth, unpacked: Callable[[str], Path]) -> Callable[[str], Predictions]:
    """One of the golden sets of predictions, for all images."""
    done: dict[str, Predictions] = {}

    def read(name: str) -> Predictions:
        if name not in done:
            done[name] = read_predictions(unpacked(f"predictions_{name}"), official)
        return done[name]

    return read
