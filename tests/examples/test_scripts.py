from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ffcore import FaceDetector
from ffcore.detection.shipped import SHIPPED
from ffcore.images import VideoReader, VideoWriter, read_image
from ffcore.models.variants import VARIANTS
from ffcore.models.weights import load_network, read_checkpoint, save_network
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


def test_the_mean_of_two_trainings_lies_between_them(weights: dict[str, Path], tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    network = random_network(VARIANTS["v2"])
    for value in network.parameters():
        value.data.mul_(2)
    save_network(network, other)
    out = tmp_path / "mean.safetensors"
    printed = run("average_weights.py", weights["v2"], other, "--shares", 0.25, 0.75, "--out", out)
    assert printed.strip() == f"{out}: 0.25 v2.safetensors + 0.75 other.safetensors"
    first, second, mean = (read_checkpoint(path).tensors for path in (weights["v2"], other, out))
    key = "heads.0.boxes.weight"
    assert np.allclose(mean[key], 0.25 * first[key] + 0.75 * second[key], atol=1e-6)


def test_balancing_anchors_takes_back_trust_that_one_size_does_not_deserve(tmp_path: Path) -> None:
    photos = tmp_path / "images"
    photos.mkdir()
    lines = []
    for name in ("group.jpg", "astronaut.jpg"):
        shutil.copy(PHOTOS / name, photos / name)
        lines.append(f"# {name}")
        for x1, y1, x2, y2 in FaceDetector.load("v2")(photos / name).boxes:
            lines.append(" ".join(map(str, [x1, y1, x2 - x1, y2 - y1] + [-1] * 15 + [0.9])))
    (tmp_path / "label.txt").write_text("\n".join(lines), encoding="utf-8")
    spoilt, out = tmp_path / "spoilt.safetensors", tmp_path / "balanced.safetensors"
    network = load_network(SHIPPED["v2"].tensors)
    network.state_dict()["heads.1.logits.bias"][1] += 5  # of faces at the anchors of 64 pixels
    save_network(network, spoilt)
    printed = run("balance_anchors.py", spoilt, "--data", tmp_path, "--scales", 1, "--out", out).splitlines()
    means = [np.mean([float(x) for x in line.split(": ")[1].split(" / ")]) for line in printed[:-1]]
    assert printed[0].startswith("as it is: ")
    assert means == sorted(means)
    moved = [float(pair.split(": ")[1]) for pair in printed[-1].removeprefix(f"{out}: ").split(", ")]
    assert means[-1] > means[0] + 1
    assert moved[2] < 0
    before, after = (read_checkpoint(path).tensors for path in (spoilt, out))
    for level in range(3):
        name = f"heads.{level}.logits.bias"
        wanted = [0, moved[2 * level], 0, moved[2 * level + 1]]
        np.testing.assert_allclose(after.pop(name) - before.pop(name), wanted, atol=1e-6)
    for name in before:
        np.testing.assert_array_equal(after[name], before[name])


def test_training_from_python_reports_through_callbacks_and_leaves_weights(tmp_path: Path) -> None:
    printed = run("train_on_your_photos.py", "--epochs", 3, "--size", 64, "--out", tmp_path)
    assert "step 0: loss" in printed
    assert "finished after 3 steps" in printed
    assert "faces found, 1 labelled" in printed
    assert (tmp_path / "run" / "last.safetensors").exists()


def test_distilling_a_student_of_ones_own_leaves_weights(tmp_path: Path) -> None:
    printed = run("distil_a_small_student.py", "--epochs", 2, "--size", 64, "--out", tmp_path)
    assert "teacher: AP" in printed
    assert "step 0: task" in printed
    assert read_checkpoint(tmp_path / "best.safetensors").config.out_channel == 16


@pytest.mark.parametrize("source", ["missing.mp4", "99"])
def test_a_film_or_camera_that_is_not_there_is_told_in_one_line(source: str, tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        run("watch_a_camera.py", source, "--out", tmp_path / "hidden.mp4")
    assert source in caught.value.stderr.splitlines()[-1]
    assert "Traceback" not in caught.value.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_film_is_watched_and_its_faces_hidden(tmp_path: Path) -> None:
    photo = read_image(PHOTOS / "astronaut.jpg")
    with VideoWriter(tmp_path / "film.mp4", fps=5, size=(512, 512)) as film:
        for _ in range(6):
            film.write(photo)
    printed = run("watch_a_camera.py", tmp_path / "film.mp4", "--out", tmp_path / "hidden.mp4", "--frames", 4)
    assert "0.0 s: 1 faces" in printed
    assert "4 frames" in printed
    with VideoReader(tmp_path / "hidden.mp4") as hidden:
        frames = list(hidden)
    assert len(frames) == 4
    face = np.s_[60:178, 180:271]
    assert np.abs(frames[-1][face].astype(int) - photo[face]).mean() > 15


def test_deploying_with_onnx_runtime_alone_finds_what_the_package_finds(tmp_path: Path) -> None:
    script = (ROOT / "examples" / "deploy_with_onnxruntime.py").read_text("utf-8")
    assert not re.search(r"import (ffcore|torch)|from (ffcore|torch)", script)
    shutil.copytree(PHOTOS, tmp_path / "photos")
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"no photo")
    model = ROOT / "ffcore" / "weights" / "v2.onnx"
    printed = run("deploy_with_onnxruntime.py", model, tmp_path / "photos", "--size", 640, "--batch", 3)
    found = {Path(each["image"]).name: each for each in map(json.loads, printed.splitlines())}
    detector = FaceDetector.load("v2", max_side=640, close_ups=False)
    assert sorted(found) == sorted(path.name for path in PHOTOS.glob("*.jpg"))
    # The border differs, a square here, the next multiple of 32 there, and with it the score of the cat.
    for name in ("astronaut.jpg", "grace_hopper.jpg"):
        faces, record = detector(read_image(PHOTOS / name)), found[name]
        assert len(record["scores"]) == len(faces) == 1
        np.testing.assert_allclose(record["boxes"], faces.boxes, atol=1)
        np.testing.assert_allclose(record["landmarks"], faces.landmarks, atol=1)
    assert len(found["group.jpg"]["scores"]) >= 12


def test_any_detector_is_measured_by_the_text_files_that_it_writes(tmp_path: Path) -> None:
    printed = run("evaluate_any_detector.py", "--out", tmp_path)
    assert printed.startswith("v2: AP ")
    name, count, *rows = (tmp_path / "v2" / "astronaut.txt").read_text().splitlines()
    assert (name, int(count)) == ("astronaut", len(rows))


@pytest.mark.reference
def test_another_detector_is_measured_beside_ours(reference: Path, tmp_path: Path) -> None:
    model = reference / "peers" / "yunet_n_dynamic.onnx"
    printed = run("evaluate_any_detector.py", "--yunet", model, "--out", tmp_path)
    assert [line.split(":")[0] for line in printed.splitlines()] == ["v2", "yunet"]
    assert "yunet: AP height>=50 100.00" in printed


@pytest.mark.reference
def test_the_example_finds_the_astronaut(reference: Path, tmp_path: Path) -> None:
    model = reference / "weights" / "v1_public.pth"
    printed = run("detect_faces.py", model, PHOTOS / "astronaut.jpg", "--out", tmp_path)
    assert "astronaut.jpg: 1 faces" in printed
