from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from ffcore.detection import FaceDetector
from ffcore.detection.loading import load_backend
from ffcore.detection.options import DetectorOptions
from ffcore.errors import InputError, UnknownModelError
from ffcore.export.package import export_package
from ffcore.export.parity import Case

PHOTOS = Path(__file__).parents[2] / "examples" / "photos"
EXAMPLE = Path(__file__).parents[2] / "ffcore" / "export" / "package_files" / "usage_example.py"
# without the cat, whose score moves about the threshold with the size that it is seen at
FACES = {"astronaut": 1, "grace_hopper": 1, "group": 18}


def packaged(weights: str | Path, folder: Path) -> Path:
    done = export_package(weights, folder, compared_on=[Case(2, 64, 97)])
    assert done.path == folder / "model.onnx"
    assert done.path.stat().st_size == done.size
    return folder


def lines_of(folder: Path, *arguments: str) -> np.ndarray:
    command = [sys.executable, "-I", str(folder / "usage_example.py"), *arguments]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return np.array([line.split() for line in printed.splitlines()], np.float64).reshape(-1, 5)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return packaged("v2", tmp_path_factory.mktemp("made") / "package")


def test_a_package_is_complete_and_says_what_is_in_it(package: Path) -> None:
    weights = {"model.onnx", "model.safetensors", "model.pth"}
    texts = {"deployment_config.json", "usage_example.py", "README.md"}
    assert {file.name for file in package.iterdir()} == weights | texts
    assert [file.name for file in package.parent.iterdir()] == ["package"]
    config = json.loads((package / "deployment_config.json").read_text(encoding="utf-8"))
    assert set(config["sha256"]) == weights
    for name, digest in config["sha256"].items():
        assert hashlib.sha256((package / name).read_bytes()).hexdigest() == digest
    assert config["facts"]["licence"] in (package / "README.md").read_text(encoding="utf-8")
    assert config["parity"][0]["height"] == 64


@pytest.mark.parametrize("photo", FACES)
def test_the_example_finds_the_faces_of_real_photos(photo: str, package: Path, tmp_path: Path) -> None:
    path = PHOTOS / f"{photo}.jpg"
    copy = tmp_path / "copy.png"
    found = lines_of(package, str(path), str(copy))
    assert len(found) == FACES[photo]
    options = DetectorOptions(multiple=1, max_side=None, close_ups=False)
    faces = FaceDetector(load_backend(package / "model.onnx", device="cpu"), options)(path)
    np.testing.assert_allclose(found[:, :4], faces.boxes, atol=0.06)
    np.testing.assert_allclose(found[:, 4], faces.scores, atol=1e-4)
    drawn, plain = cv2.imread(str(copy)), cv2.imread(str(path))
    assert drawn.shape == plain.shape
    assert (drawn != plain).any() == (len(found) > 0)


def test_the_example_says_in_one_line_what_it_cannot_read(package: Path) -> None:
    for arguments in ([], [str(package / "README.md")]):
        command = [sys.executable, "-I", str(package / "usage_example.py"), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert len(done.stderr.strip().splitlines()) == 1


def test_the_example_needs_three_packages_and_not_ours() -> None:
    imported = {
        line.split()[1].partition(".")[0]
        for line in EXAMPLE.read_text(encoding="utf-8").splitlines()
        if line.startswith(("import ", "from "))
    }
    standard = imported & sys.stdlib_module_names
    assert imported - standard == {"cv2", "numpy", "onnxruntime"}


def test_a_folder_with_files_is_left_alone_and_a_failure_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    with pytest.raises(InputError, match="is not empty"):
        export_package("v2", tmp_path / "mine")
    with pytest.raises(UnknownModelError):
        export_package("v3", tmp_path / "new")
    assert [file.name for file in tmp_path.iterdir()] == ["mine"]
