"""Values of other libraries: OpenCV, supervision and COCO files that somebody else wrote."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffcore.detection import FaceDetector
from ffcore.errors import ConfigError, InputError, MissingDependencyError
from ffcore.faces import Faces
from ffcore.images import read_image
from ffcore.results import (
    ImageFaces,
    coco_document,
    from_opencv,
    from_supervision,
    read_coco_results,
    supervision_fields,
    to_opencv,
    to_supervision,
    write_coco,
)
from tests.cli.conftest import PHOTOS
from tests.results.test_formats import EMPTY, PARTY, some


def test_a_face_is_a_row_of_fifteen_numbers_in_the_order_of_opencv() -> None:
    points = np.arange(10).reshape(1, 5, 2) + 100
    face = Faces(boxes=[[10, 20, 40, 60]], scores=[0.5], landmarks=points)
    assert to_opencv(face).tolist() == [[10, 20, 30, 40, *range(100, 110), 0.5]]
    assert to_opencv(face).dtype == np.float32


@given(st.integers(0, 20), st.integers(0, 10_000))
def test_rows_of_opencv_become_the_same_faces_again(n: int, seed: int) -> None:
    faces = some(n, seed=seed)
    again = from_opencv(to_opencv(faces))
    assert np.array_equal(again.scores, faces.scores)
    assert np.array_equal(again.landmarks, faces.landmarks)
    assert np.allclose(again.boxes, faces.boxes, atol=1e-4)


def test_no_face_is_none_for_opencv_and_no_row_for_us() -> None:
    assert to_opencv(Faces.empty()).shape == (0, 15)
    assert from_opencv(None) == from_opencv(np.zeros((0, 15))) == Faces.empty()


@pytest.mark.parametrize("rows", [np.zeros(15), np.zeros((2, 14)), np.zeros((1, 3, 5))])
def test_rows_of_another_length_are_an_error(rows: np.ndarray) -> None:
    with pytest.raises(ConfigError, match="15 numbers"):
        from_opencv(rows)


def test_the_first_point_of_a_row_is_the_eye_on_the_left_of_the_picture() -> None:
    """OpenCV's own aligned crop takes that order for granted: its first target point has the smaller x."""
    faces = FaceDetector.load("v2", score=0.6)(read_image(PHOTOS / "astronaut.jpg"))
    (row,) = to_opencv(faces)
    right_eye_of_the_person, left_eye_of_the_person = row[4:6], row[6:8]
    assert right_eye_of_the_person[0] < left_eye_of_the_person[0]


@pytest.mark.reference
def test_yunet_run_by_opencv_puts_the_same_points_in_the_same_columns(reference: Path) -> None:
    image = read_image(PHOTOS / "astronaut.jpg")
    model = str(reference / "peers" / "yunet_n_dynamic.onnx")
    detector = cv2.FaceDetectorYN.create(model, "", (image.shape[1], image.shape[0]), 0.6)
    _, theirs = detector.detect(image)
    (ours,) = to_opencv(FaceDetector.load("v2", score=0.6)(image))
    (face,) = from_opencv(theirs)
    assert face.scores[0] > 0.6
    assert np.abs(theirs[0, 4:14] - ours[4:14]).max() < 12  # the face is 100 pixels wide


def test_fields_for_supervision_are_arrays_of_one_length() -> None:
    fields = supervision_fields(PARTY.faces)
    assert np.array_equal(fields["xyxy"], PARTY.faces.boxes)
    assert np.array_equal(fields["confidence"], PARTY.faces.scores)
    assert fields["class_id"].tolist() == [0, 0, 0]
    assert fields["data"]["class_name"].tolist() == ["face"] * 3
    assert np.array_equal(fields["data"]["landmarks"], PARTY.faces.landmarks)


def test_changing_what_supervision_got_leaves_the_faces_alone() -> None:
    before = PARTY.faces.boxes.copy()
    supervision_fields(PARTY.faces)["xyxy"][:] = 0
    assert np.array_equal(PARTY.faces.boxes, before)


def test_anything_with_the_fields_of_supervision_becomes_faces() -> None:
    assert from_supervision(SimpleNamespace(**supervision_fields(PARTY.faces))) == PARTY.faces
    nothing = SimpleNamespace(xyxy=np.zeros((0, 4)), confidence=None, data={})
    assert from_supervision(nothing) == Faces.empty()


def test_detections_without_scores_or_landmarks_say_what_is_missing() -> None:
    fields = supervision_fields(PARTY.faces)
    with pytest.raises(ConfigError, match="no confidence"):
        from_supervision(SimpleNamespace(**{**fields, "confidence": None}))
    with pytest.raises(ConfigError, match="no landmarks"):
        from_supervision(SimpleNamespace(**{**fields, "data": {}}))


def test_without_supervision_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "supervision", None)
    with pytest.raises(MissingDependencyError, match="pip install supervision"):
        to_supervision(PARTY.faces)


def test_supervision_filters_and_merges_landmarks_with_their_boxes() -> None:
    supervision = pytest.importorskip("supervision", reason="supervision is not installed")
    detections = to_supervision(PARTY.faces)
    assert from_supervision(detections) == PARTY.faces
    assert from_supervision(detections[detections.confidence > 0.2]) == PARTY.faces.above(0.2)
    joined = supervision.Detections.merge([detections[:1], detections[1:]])
    assert from_supervision(joined) == PARTY.faces
    assert from_supervision(supervision.Detections.empty()) == Faces.empty()
    assert len(to_supervision(Faces.empty())) == 0


@given(st.integers(0, 20), st.integers(0, 10_000))
def test_a_coco_file_reads_back_to_the_same_faces(
    tmp_path_factory: pytest.TempPathFactory, n: int, seed: int
) -> None:
    path = tmp_path_factory.mktemp("coco") / "faces.json"
    given_images = [EMPTY, ImageFaces("a/b.jpg", 300, 200, some(n, seed=seed))]
    write_coco(path, given_images)
    assert read_coco_results(path) == given_images


def changed(part: str, **values: object) -> dict:
    document = coco_document([PARTY])
    document[part][0] |= values
    return document


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (changed("images", id=[1]), r"images\[0\] needs an id"),
        (changed("images", file_name=None), r"images\[0\] needs a file_name, and its width"),
        (changed("images", width=0), r"images\[0\] needs a file_name, and its width"),
        (changed("annotations", image_id=7), r"annotations\[0\] belongs to no image"),
        (changed("annotations", score=None), r"annotations\[0\] has no score"),
        (changed("annotations", bbox=[1, 2, 3]), r"annotations\[0\] needs a bbox"),
        (changed("annotations", keypoints=[1] * 14), r"annotations\[0\] needs keypoints"),
        (changed("annotations", keypoints=[1, 1, 0] * 5), r"annotations\[0\] needs keypoints"),
        (changed("annotations", bbox=[0, 0, 1e300, 1]), r"annotations\[0\] needs a bbox"),
    ],
)
def test_entries_of_a_coco_file_that_are_no_faces_are_named(
    document: dict, message: str, tmp_path: Path
) -> None:
    (tmp_path / "faces.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match=message):
        read_coco_results(tmp_path / "faces.json")


def test_other_categories_of_a_coco_file_are_left_out(tmp_path: Path) -> None:
    document = changed("annotations", category_id=2)
    document["categories"].append({"id": 2, "name": "dog"})
    (tmp_path / "faces.json").write_text(json.dumps(document))
    (image,) = read_coco_results(tmp_path / "faces.json")
    assert image.faces == PARTY.faces[1:]
