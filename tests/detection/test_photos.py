"""The whole path on real photos with public weights."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from ffcore.detection import FaceDetector
from ffcore.faces import Faces
from ffcore.geometry import pairwise_iou
from ffcore.geometry.boxes import pairwise_coverage
from ffcore.images import read_image

PHOTOS = Path(__file__).parents[2] / "examples" / "photos"
HOPPER = np.array([[176, 116, 353, 332]], np.float32)  # where her face is in grace_hopper.jpg

pytestmark = pytest.mark.reference


@pytest.fixture
def weights(reference: Path) -> Path:
    pytest.importorskip("torch")
    return reference / "weights" / "v1_public.pth"


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the exported network stays, since exporting takes long."""
    return tmp_path_factory.mktemp("exported")


@pytest.fixture
def exported(weights: Path, workshop: Path) -> Path:
    from ffcore.export.onnx_graph import export_onnx
    from ffcore.models.weights import load_network

    path = workshop / "v1.onnx"
    if not path.exists():
        export_onnx(load_network(weights), path)
    return path


def shows(faces: Faces, box: np.ndarray, *, factor: float = 1.0) -> bool:
    """Whether a face overlaps the box by more than half."""
    return bool((pairwise_iou(faces.boxes, box * np.float32(factor)) > 0.5).any())


def test_one_portrait_one_group_and_a_cat(weights: Path) -> None:
    detector = FaceDetector.load(weights, device="cpu")
    found = detector([PHOTOS / f"{name}.jpg" for name in ("astronaut", "grace_hopper", "group", "cat")])
    assert [len(faces) for faces in found] == [1, 1, 18, 0]
    assert shows(found[1], HOPPER)
    left_eye, right_eye, nose, left_mouth, right_mouth = found[1].landmarks[0]
    assert left_eye[0] < nose[0] < right_eye[0]
    assert left_eye[1] < nose[1] < left_mouth[1]
    assert left_mouth[0] < right_mouth[0]


def test_torch_and_onnx_find_the_same_faces(weights: Path, exported: Path) -> None:
    for name in ("grace_hopper", "group"):
        photo = PHOTOS / f"{name}.jpg"
        by_torch = FaceDetector.load(weights, device="cpu")(photo)
        by_onnx = FaceDetector.load(exported, device="cpu")(photo)
        assert np.allclose(by_torch.scores, by_onnx.scores, atol=1e-4)
        assert np.allclose(by_torch.boxes, by_onnx.boxes, atol=0.05)
        assert np.allclose(by_torch.landmarks, by_onnx.landmarks, atol=0.05)


def test_a_face_larger_than_every_anchor_needs_the_second_look(exported: Path) -> None:
    portrait = cv2.resize(read_image(PHOTOS / "grace_hopper.jpg"), None, fx=6, fy=6)
    settings = {"device": "cpu", "max_side": None}
    assert not shows(FaceDetector.load(exported, close_ups=False, **settings)(portrait), HOPPER, factor=6)
    assert shows(FaceDetector.load(exported, **settings)(portrait), HOPPER, factor=6)


def test_tiles_find_small_faces_that_shrinking_loses(exported: Path) -> None:
    group = read_image(PHOTOS / "group.jpg")
    wall = np.full((2160, 3072, 3), 110, np.uint8)
    wall[1000:1720, 1500:2524] = group
    alone = FaceDetector.load(exported)(group).transformed(shift=(1500, 1000))
    tiled = FaceDetector.load(exported, tile=640)(wall)
    shrunk = FaceDetector.load(exported, max_side=1024)(wall)
    # The smallest faces come and go with where the grid falls on them; the sure ones must be there.
    sure = alone.above(0.9)
    assert len(sure) == 16
    assert (pairwise_iou(sure.boxes, tiled.boxes).max(1) > 0.8).all()
    assert (pairwise_iou(tiled.boxes, alone.boxes).max(1) > 0.5).all()  # nothing twice, nothing else
    assert len(tiled) <= len(alone)
    assert (pairwise_iou(sure.boxes, shrunk.boxes).max(1) > 0.5).sum() < 10


@pytest.mark.parametrize("settings", [{"tile": 640}, {"max_side": None}])
def test_a_large_face_comes_whole_and_not_in_pieces(exported: Path, settings: dict[str, int | None]) -> None:
    portrait = cv2.resize(read_image(PHOTOS / "grace_hopper.jpg"), None, fx=4, fy=4)
    faces = FaceDetector.load(exported, device="cpu", **settings)(portrait)
    whole = HOPPER * np.float32(4)
    assert pairwise_iou(whole, faces.boxes).max() > 0.7
    assert (pairwise_coverage(faces.boxes, whole) > 0.7).sum() == 1


def test_a_fixed_network_of_others_works_on_any_photo(reference: Path) -> None:
    detector = FaceDetector.load(reference / "peers" / "retinaface_mnet025_mingo99.onnx")
    found = detector([PHOTOS / "grace_hopper.jpg", PHOTOS / "cat.jpg"])
    assert [len(faces) for faces in found] == [1, 0]
    assert shows(found[0], HOPPER)
