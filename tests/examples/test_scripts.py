from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ffcore.images import read_image
from ffcore.models.variants import VARIANTS
from ffcore.models.weights import save_network
from tests.models.random_weights import random_network

ROOT = Path(__file__).parent.parent.parent
PHOTOS = ROOT / "examples" / "photos"


def run(script: str, *arguments: object) -> str:
    command = [sys.executable, str(ROOT / "examples" / script), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("weights")
    for name in ("v2", "v2-ca"):
        save_network(random_network(VARIANTS[name]), folder / f"{name}.safetensors")
    return {name: folder / f"{name}.safetensors" for name in ("v2", "v2-ca")}


def test_detecting_from_python_draws_every_photo(weights: dict[str, Path], tmp_path: Path) -> None:
    photos = [PHOTOS / "astronaut.jpg", PHOTOS / "cat.jpg"]
    printed = run("detect_faces.py", weights["v2"], *photos, "--out", tmp_path)
    assert "astronaut.jpg: " in printed
    assert read_image(tmp_path / "cat.png").shape == (300, 451, 3)


@pytest.mark.parametrize(("name", "count"), [("v2", 6), ("v2-ca", 6)])
def test_attention_is_drawn_for_every_level(
    name: str, count: int, weights: dict[str, Path], tmp_path: Path
) -> None:
    run("attention_maps.py", weights[name], PHOTOS / "astronaut.jpg", "--out", tmp_path)
    pictures = [read_image(path) for path in tmp_path.iterdir()]
    assert len(pictures) == count
    assert all(picture.shape == (512, 512, 3) and picture.std() > 10 for picture in pictures)


def test_training_from_python_reports_through_callbacks_and_leaves_weights(tmp_path: Path) -> None:
    printed = run("train_on_your_photos.py", "--epochs", 3, "--size", 64, "--out", tmp_path)
    assert "step 0: loss" in printed
    assert "finished after 3 steps" in printed
    assert "faces found, 1 labelled" in printed
    assert (tmp_path / "run" / "last.safetensors").exists()


@pytest.mark.reference
def test_the_example_finds_the_astronaut(reference: Path, tmp_path: Path) -> None:
    model = reference / "weights" / "v1_public.pth"
    printed = run("detect_faces.py", model, PHOTOS / "astronaut.jpg", "--out", tmp_path)
    assert "astronaut.jpg: 1 faces" in printed
