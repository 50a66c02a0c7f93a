from __future__ import annotations

import shutil
from pathlib import Path

import pytest

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
