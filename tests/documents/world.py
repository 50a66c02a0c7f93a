"""A folder in which the names exist that the documents use."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import sys
from pathlib import Path

import cv2
import numpy as np

from ffcore import FaceDetector
from ffcore.detection.shipped import SHIPPED
from ffcore.distillation.job import distill
from ffcore.distillation.run_config import resolve_distillation
from ffcore.evaluation.wider_mat import read_wider_ground_truth
from ffcore.events import Event
from ffcore.export.web.runtime import BUILDS
from ffcore.images import VideoWriter, read_image, write_image
from ffcore.models.variants import VARIANTS
from ffcore.models.weights import save_network
from ffcore.results import ImageFaces
from ffcore.results.widerface import write_widerface
from ffcore.training.events import Validated
from ffcore.training.job import train
from ffcore.training.run_config import preset
from tests.detection.toys import toy_onnx
from tests.documents.documents import ROOT
from tests.evaluation.mat_files import write_ground_truth
from tests.jobs.in_process import plan_of, run_here
from tests.models.random_weights import random_network
from tests.training.toy_data import toy_config, toy_settings, write_photos

EXAMPLES = ROOT / "examples" / "photos"
EVENT = "0--Parade"
PHOTOS = 40  # more than the batch of the presets
FACES = ("astronaut", "grace_hopper", "group")
# One name of the documents is a word that stands for any such folder.
SAME = {"DIR": "wider/train", "GT": "wider/gt", "PHOTOS": "wider/val", "PREDICTIONS": "somebody/predictions"}


def make_programs(folder: Path) -> Path:
    """The programs of this environment under the names that are typed, also where it is not activated."""
    folder.mkdir()
    modules = {"featherface": " -m ffcli", "torchrun": " -m torch.distributed.run", "python": ""}
    for name, module in modules.items():
        path = folder / name
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}"{module} "$@"\n', encoding="utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return folder


def make_world(folder: Path) -> Path:
    """Makes the folder; nothing in it is large."""
    folder.mkdir()
    _photos(folder)
    _video(folder / "party.mp4")
    _wider_face(folder)
    _networks(folder)
    _unfinished_runs(folder)
    _table(folder)
    for build in BUILDS.values():
        for name in (build.script, build.binary):
            path = folder / "runtime" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"stands for {name}", encoding="utf-8")
    return folder


def _small(name: str) -> np.ndarray:
    image = read_image(EXAMPLES / f"{name}.jpg")
    scale = 320 / max(image.shape[:2])
    return np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))


def _photos(folder: Path) -> None:
    shutil.copytree(EXAMPLES, folder / "examples" / "photos")
    places = {
        "astronaut": ("photo.jpg", "holiday/me.jpg", "scans/1969/x.tif", "photos/a.jpg"),
        "grace_hopper": ("photos/b.jpg",),
        "group": ("photos/c.jpg",),
        "cat": ("holiday/home/cat.jpg",),
    }
    for name, paths in places.items():
        for path in paths:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            write_image(folder / path, _small(name))


def _video(path: Path) -> None:
    frame = _small("astronaut")
    height, width = frame.shape[:2]
    with VideoWriter(path, fps=5, size=(width, height)) as video:
        for _ in range(5):
            video.write(frame)


def _wider_face(folder: Path) -> None:
    """Photos to train on, photos to measure on, and what the shipped weights find there for the truth."""
    write_photos(folder / "wider" / "train", PHOTOS)
    found = []
    detector = FaceDetector.load("v2", device="cpu")
    (folder / "wider" / "val" / EVENT).mkdir(parents=True)
    for name in FACES:
        image = _small(name)
        write_image(folder / "wider" / "val" / EVENT / f"{name}.jpg", image)
        height, width = image.shape[:2]
        found.append(ImageFaces(f"{EVENT}/{name}.jpg", width, height, detector(image)))
    boxes = {
        Path(each.image).stem: [
            (round(x1), round(y1), round(x2 - x1), round(y2 - y1))
            for x1, y1, x2, y2 in each.faces.boxes.tolist()
        ]
        for each in found
    }
    write_ground_truth(folder / "wider" / "gt", {EVENT: boxes})
    write_widerface(folder / "somebody" / "predictions", found)
    (folder / "list.txt").write_text("".join(f"{EVENT}/{name}\n" for name in FACES), encoding="utf-8")
    lines = [f"event/{number}.png\n" for number in range(PHOTOS)]
    (folder / "train.txt").write_text("".join(lines[:-4]), encoding="utf-8")
    (folder / "dev.txt").write_text("".join(lines[-4:]), encoding="utf-8")
    for name, same in SAME.items():
        (folder / name).symlink_to(same, target_is_directory=True)


def complete_wider_face(folder: Path, reference: Path) -> None:
    """Puts the official ground truth into a world, with a photo and predictions for each of its images."""
    wider, photo = folder / "wider", _small("grace_hopper")
    for path in (wider / "gt", wider / "val", folder / "somebody" / "predictions"):
        shutil.rmtree(path)
    shutil.copytree(reference / "evaluation" / "ground_truth", wider / "gt")
    images = read_wider_ground_truth(wider / "gt").images
    (folder / "list.txt").write_text("".join(f"{image}\n" for image in images[::20]), encoding="utf-8")
    val = folder.with_name("val")  # beside the world, of which copies are made
    once = val / "once.jpg"
    write_image(once, photo)
    for image in images:
        path = val / f"{image}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.hardlink_to(once)
    (wider / "val").symlink_to(val, target_is_directory=True)
    height, width = photo.shape[:2]
    faces = FaceDetector.load("v2", device="cpu")(photo)
    found = [ImageFaces(f"{image}.jpg", width, height, faces) for image in images]
    write_widerface(folder / "somebody" / "predictions", found)


def _networks(folder: Path) -> None:
    """Weights under the names of the documents; they are ours, or random, but not fresh."""
    for variant in ("v1", "v1-original"):
        save_network(random_network(VARIANTS[variant]), folder / f"{variant}.pth")
    shutil.copy(SHIPPED["v2"].onnx, folder / "v1.onnx")
    shutil.copy(SHIPPED["v2"].tensors, folder / "legs-1-to-5.safetensors")
    for name in ("other", "somebody_else", "scrfd_500m_bnkps", "yunet_n_640"):
        toy_onnx(folder / f"{name}.onnx")


def _unfinished_runs(folder: Path) -> None:
    """A training and a distillation that somebody has stopped after the first of two epochs."""

    def stop(event: Event) -> None:
        if isinstance(event, Validated):
            os.kill(os.getpid(), signal.SIGINT)

    data = folder / "wider" / "train"
    small: dict[str, object] = {
        "train__epochs": 2,
        "augment__sizes": [64],
        "data__batch_size": 16,
        "validation__ap": False,
    }
    train(toy_config(data, model__name="v1", **small), folder / "runs" / "v1-1", device="cpu", on_event=stop)
    taught = toy_settings(data, teacher__weights=str(folder / "v1.pth"), **small)
    distill(
        resolve_distillation([preset("v2"), taught]).config,
        folder / "runs" / "v2-1",
        device="cpu",
        on_event=stop,
    )


def _table(folder: Path) -> None:
    """What ``detect photos/ --engine ray --out faces`` leaves."""
    run_here(plan_of([folder / "photos"]), folder / "faces")
