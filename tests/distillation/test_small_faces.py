from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper

from ffcore.config.layers import Layer
from ffcore.distillation.losses import face_logits
from ffcore.distillation.run_config import resolve_distillation
from ffcore.distillation.small_faces import LARGEST, STRIDE, Opinion, SmallFaceTeacher, YuNet
from ffcore.distillation.teacher import TorchTeacher
from ffcore.errors import CheckpointError, ConfigError
from ffcore.geometry.anchors import anchors
from ffcore.geometry.coder import decode_boxes, decode_landmarks
from tests.distillation.toys import trained

HEIGHT, WIDTH = 64, 90  # the last column of cells is cut
ROWS, COLUMNS = 8, 12
PIXELS = torch.rand(2, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(3)) * 255 - 110
FACES = {13: 12, 40: 30, 70: 50}
"""Side of the face in some cells: for the anchor of 16 pixels, for that of 32, for the next stride."""


def opinion_of(images: NDArray[np.float32]) -> Opinion:
    """Faces in these cells of every image, little in the rest."""
    count, cells = len(images), ROWS * COLUMNS
    probability = np.full((count, cells), 0.03, np.float32)
    centre = np.stack(np.meshgrid(np.arange(COLUMNS), np.arange(ROWS)), axis=-1).reshape(cells, 2) * 8.0 + 3
    side = np.full((cells, 1), 20.0)
    for cell, length in FACES.items():
        side[cell] = length
        probability[:, cell] = 0.7 + length / 1000
    boxes = np.concatenate([centre - side / 2, centre + side / 2], axis=-1)[None].repeat(count, axis=0)
    points = np.tile(centre, 5)[None].repeat(count, axis=0)
    return Opinion(probability, boxes.astype(np.float32), points.astype(np.float32))


@torch.no_grad()
def test_the_smallest_anchors_speak_for_the_opinion_and_all_others_for_the_teacher() -> None:
    plain = TorchTeacher(trained())
    seen: list[NDArray[np.float32]] = []

    def look(images: NDArray[np.float32]) -> Opinion:
        seen.append(images)
        return opinion_of(images)

    mixed = SmallFaceTeacher(plain, look)
    wanted, found = plain(PIXELS).outputs, mixed(PIXELS).outputs
    mean = np.array([104, 117, 123], np.float32)[:, None, None]
    np.testing.assert_allclose(seen[0], PIXELS.numpy() + mean)
    assert mixed.network is plain.network

    small, medium, large = FACES
    anchor = {small: 2 * small, medium: 2 * medium + 1}
    said = opinion_of(PIXELS.numpy())
    table = torch.from_numpy(anchors(HEIGHT, WIDTH) * np.array([WIDTH, HEIGHT] * 2, np.float32))
    probability = torch.sigmoid(face_logits(found))
    boxes, points = decode_boxes(found.boxes, table), decode_landmarks(found.landmarks, table)
    for cell, number in anchor.items():
        np.testing.assert_allclose(probability[:, number], said.probability[:, cell], rtol=1e-4)
        np.testing.assert_allclose(boxes[:, number], said.boxes[:, cell], atol=1e-3)
        np.testing.assert_allclose(points[:, number], said.landmarks[:, cell], atol=1e-3)
    # where YuNet sees nothing the smallest anchors hear that, and no more: its box says nothing then
    nothing = [cell for cell in range(ROWS * COLUMNS) if cell not in FACES]
    unseen = [2 * cell for cell in nothing]
    np.testing.assert_allclose(probability[:, unseen], said.probability[:, nothing], rtol=1e-4)

    heard = set(anchor.values())
    boxed = [number for number in range(len(table)) if number not in heard]
    assert torch.equal(found.boxes[:, boxed], wanted.boxes[:, boxed])
    assert torch.equal(found.landmarks[:, boxed], wanted.landmarks[:, boxed])
    others = [number for number in boxed if number not in unseen]
    assert torch.equal(found.logits[:, others], wanted.logits[:, others])
    assert {2 * large, 2 * large + 1} <= set(others), "a larger face is the teacher's"


def test_what_the_teacher_said_stays_as_it_was() -> None:
    plain = TorchTeacher(trained())
    lesson = plain(PIXELS, features=True)
    before = [value.clone() for value in lesson.outputs]

    class Same:
        network, gives_features = plain.network, True

        def __call__(self, pixels: torch.Tensor, *, features: bool = False):  # type: ignore[no-untyped-def]
            return lesson

    found = SmallFaceTeacher(Same(), opinion_of)(PIXELS, features=True)
    assert found.features is lesson.features
    assert all(torch.equal(a, b) for a, b in zip(before, lesson.outputs, strict=True))
    assert not torch.equal(found.outputs.logits, lesson.outputs.logits)


@pytest.mark.reference
def test_yunet_sees_what_opencv_sees_with_it(reference: Path) -> None:
    file = reference / "peers" / "yunet_n_dynamic.onnx"
    photo = cv2.imread(str(Path(__file__).parents[2] / "examples" / "photos" / "group.jpg"))
    assert photo is not None
    photo = cv2.resize(photo, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA)
    height, width = photo.shape[:2]
    assert height % 32 or width % 32, "the photo has to be filled up for this to be a test of it"
    images = np.ascontiguousarray(photo.transpose(2, 0, 1)[None]).astype(np.float32)
    said = YuNet(file)(np.concatenate([images, images[..., ::-1]]))
    boxes, probability = said.boxes[0], said.probability[0]
    assert boxes.shape == (-(-height // STRIDE) * -(-width // STRIDE), 4)

    opencv = cv2.FaceDetectorYN.create(str(file), "", (width, height), 0.5, 0.3, 5000)
    _, faces = opencv.detect(photo)
    small = faces[(faces[:, 2] * faces[:, 3]) ** 0.5 < LARGEST]
    assert len(small) >= 5
    for face in small:
        cell = int(np.abs(probability - face[14]).argmin())
        wanted = [face[0], face[1], face[0] + face[2], face[1] + face[3]]
        np.testing.assert_allclose(boxes[cell], wanted, atol=0.02)
        np.testing.assert_allclose(said.landmarks[0, cell], face[4:14], atol=0.02)


@pytest.mark.reference
def test_a_yunet_of_one_size_alone_is_refused(reference: Path) -> None:
    with pytest.raises(CheckpointError, match="any batch and size is needed"):
        YuNet(reference / "peers" / "yunet_n_640.onnx")


def test_other_files_are_refused(tmp_path: Path) -> None:
    same = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3, "height", "width"])
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, "height", "width"])
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [value], [same])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    file = tmp_path / "other.onnx"
    onnx.save(model, str(file))
    with pytest.raises(CheckpointError, match="is no YuNet: it has no outputs cls_8"):
        YuNet(file)
    with pytest.raises(CheckpointError, match="cannot open"):
        YuNet(tmp_path / "missing.onnx")
    with pytest.raises(ConfigError, match="threads = 0"):
        YuNet(file, threads=0)


def test_the_file_is_a_setting_of_the_teacher() -> None:
    config = resolve_distillation([Layer("test", {"teacher.small_faces": "yunet.onnx"})]).config
    assert config.teacher.small_faces == "yunet.onnx"
