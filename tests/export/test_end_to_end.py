"""One graph from the decoded photo to faces in pixels finds what the library finds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from ffcore import read_image
from ffcore.detection import FaceDetector
from ffcore.detection.options import DetectorOptions
from ffcore.detection.torch_backend import TorchBackend
from ffcore.errors import CheckpointError, ExportError
from ffcore.export.end_to_end import add_pre_and_postprocessing
from ffcore.export.end_to_end_parity import count_unmatched, require_same_faces
from ffcore.export.onnx_graph import OPSET, export_onnx
from ffcore.export.parity import Case
from ffcore.faces import Faces
from ffcore.models.featherface import FeatherFace
from ffcore.models.variants import VARIANTS
from ffcore.models.weights import load_network
from tests.models.random_weights import random_network

PHOTOS = Path(__file__).parents[2] / "examples" / "photos"
OPTIONS = DetectorOptions(multiple=1, close_ups=False, max_side=None)


def faces_of(path: Path, image: np.ndarray) -> Faces:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    boxes, scores, landmarks = session.run(None, {"image": image})
    return Faces(boxes=boxes, scores=scores, landmarks=landmarks)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> tuple[FeatherFace, Path]:
    made = random_network(VARIANTS["v2"])
    path = tmp_path_factory.mktemp("onnx") / "v2.onnx"
    export_onnx(made, path)
    return made, path


@pytest.mark.parametrize(("score", "candidates", "max_faces"), [(0.5, 5000, 750), (0.5, 40, 7), (1.0, 9, 9)])
def test_noise_gives_the_faces_of_the_detector_or_none(
    network: tuple[FeatherFace, Path], score: float, candidates: int, max_faces: int, tmp_path: Path
) -> None:
    made, path = network
    options = replace(OPTIONS, score=score, candidates=candidates, max_faces=max_faces)
    add_pre_and_postprocessing(path, tmp_path / "whole.onnx", options=options)
    opsets = [(each.domain, each.version) for each in onnx.load(tmp_path / "whole.onnx").opset_import]
    assert opsets == [("", OPSET)]
    detector = FaceDetector(TorchBackend(made, device="cpu"), options)
    for height, width in ((64, 64), (97, 131), (33, 70)):
        image = np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)
        found, wanted = faces_of(tmp_path / "whole.onnx", image), detector(image)
        assert len(found) == len(wanted)
        np.testing.assert_allclose(found.scores, wanted.scores, atol=2e-5)
        if len(wanted):
            nearest = np.abs(found.boxes[:, None] - wanted.boxes[None]).max(axis=2).min(axis=1)
            assert nearest.max() < 0.1
        assert (len(wanted) == 0) == (score == 1.0)


def test_a_graph_with_other_thresholds_than_promised_is_refused(
    network: tuple[FeatherFace, Path], tmp_path: Path
) -> None:
    whole, cases = tmp_path / "whole.onnx", [Case(1, 97, 131)]
    add_pre_and_postprocessing(network[1], whole, options=OPTIONS)
    found = require_same_faces(network[1], whole, options=OPTIONS, cases=cases, name="whole.onnx")
    assert [each.score for each in found] == [0.5, 0.0]
    assert all(each.faces > 3 for each in found)
    with pytest.raises(ExportError, match="by only one of graph and library"):
        require_same_faces(network[1], whole, options=replace(OPTIONS, nms=0.1), cases=cases, name="x")
    assert list(tmp_path.iterdir()) == [whole]


def test_a_detector_of_ours_says_what_an_end_to_end_graph_is_and_what_runs_it(
    network: tuple[FeatherFace, Path], tmp_path: Path
) -> None:
    whole = tmp_path / "whole.onnx"
    add_pre_and_postprocessing(network[1], whole, options=OPTIONS)
    with pytest.raises(CheckpointError, match=r"is an end-to-end export; .* runs in onnxruntime") as caught:
        FaceDetector.load(whole, device="cpu")
    assert "\n" not in str(caught.value)


def test_a_face_that_only_one_of_two_has_is_counted() -> None:
    faces = Faces(
        boxes=np.array([[0, 0, 9, 9], [20, 20, 30, 30]], np.float32),
        scores=np.array([0.9, 0.8], np.float32),
        landmarks=np.zeros((2, 5, 2), np.float32),
    )
    assert count_unmatched(faces, faces) == 0
    assert count_unmatched(faces, faces[:1]) == 1
    assert count_unmatched(faces[:0], faces) == 2


@pytest.mark.reference
def test_photos_give_the_faces_of_the_detector(reference: Path, tmp_path: Path) -> None:
    made = load_network(reference / "weights" / "v1_public.pth")
    export_onnx(made, tmp_path / "v1.onnx")
    add_pre_and_postprocessing(tmp_path / "v1.onnx", tmp_path / "whole.onnx", options=OPTIONS)
    detector = FaceDetector(TorchBackend(made, device="cpu"), OPTIONS)
    for name, count in (("astronaut", 1), ("cat", 0), ("group", 18)):
        image = read_image(PHOTOS / f"{name}.jpg")
        found, wanted = faces_of(tmp_path / "whole.onnx", image), detector(image)
        assert len(found) == len(wanted) == count
        np.testing.assert_allclose(found.boxes, wanted.boxes, atol=0.01)
        np.testing.assert_allclose(found.landmarks, wanted.landmarks, atol=0.01)
