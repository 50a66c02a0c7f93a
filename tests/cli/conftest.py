from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import pytest

from ffcli.app import run
from ffcore.models.variants import VARIANTS
from ffcore.models.weights import save_network
from tests.models.random_weights import random_network

PHOTOS = Path(__file__).parent.parent.parent / "examples" / "photos"


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A v2 with random weights: it finds nonsense, but everything around it is real."""
    path = tmp_path_factory.mktemp("weights") / "v2.safetensors"
    save_network(random_network(VARIANTS["v2"]), path)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with two photos, one in a folder below, with names that need care."""
    folder = tmp_path / "my photos"
    (folder / "älter").mkdir(parents=True)
    shutil.copy(PHOTOS / "astronaut.jpg", folder / "astronaut.jpg")
    shutil.copy(PHOTOS / "cat.jpg", folder / "älter" / "cat [1].jpg")
    return folder


class Refused(Protocol):
    """Checks that a command fails with one line that says what to do, and trains nothing."""

    def __call__(self, arguments: Sequence[object], code: int, message: str, /) -> None:
        """Runs it in an empty folder."""


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refused:
    def check(arguments: Sequence[object], code: int, message: str, /) -> None:
        monkeypatch.chdir(tmp_path)
        assert run([str(each) for each in arguments]) == code
        captured = capsys.readouterr()
        assert captured.out == ""
        assert message in captured.err
        assert captured.err.count("\n") == 1
        assert not list(tmp_path.glob("runs/*"))

    return check
