from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffcore.errors import ConfigError, InputError
from ffcore.faces import LANDMARK_NAMES, Faces
from ffcore.results import (
    CSV_HEADER,
    ImageFaces,
    coco_document,
    csv_rows,
    json_record,
    widerface_path,
    widerface_text,
    write_coco,
    write_csv,
    write_json,
    write_json_lines,
    write_widerface,
)


def some(n: int, *, seed: int = 0) -> Faces:
    rng = np.random.default_rng(seed)
    corners = rng.uniform(-20, 300, (n, 2))
    return Faces(
        boxes=np.concatenate((corners, corners + rng.uniform(1, 90, (n, 2))), 1),
        scores=rng.random(n),
        landmarks=rng.uniform(-20, 300, (n, 5, 2)),
    )


PARTY = ImageFaces("0--Parade/party, late.jpg", 640, 480, some(3))
EMPTY = ImageFaces("0--Parade/empty.jpg", 32, 16, Faces.empty())


def from_record(record: dict) -> Faces:
    faces = record["faces"]
    return Faces(
        boxes=np.array([face["box"] for face in faces], np.float32).reshape(-1, 4),
        scores=np.array([face["score"] for face in faces], np.float32),
        landmarks=np.array(
            [[face["landmarks"][name] for name in LANDMARK_NAMES] for face in faces], np.float32
        ).reshape(-1, 5, 2),
    )


def test_a_json_file_reads_back_to_the_same_faces(tmp_path: Path) -> None:
    write_json(tmp_path / "faces.json", [PARTY, EMPTY])
    first, second = json.loads((tmp_path / "faces.json").read_text())
    assert (first["image"], first["width"], first["height"]) == ("0--Parade/party, late.jpg", 640, 480)
    assert from_record(first) == PARTY.faces
    assert second["faces"] == []


def test_json_numbers_have_no_digits_that_mean_nothing() -> None:
    face = Faces(boxes=[[0.1, 1, 2.5, 12.3]], scores=[0.98], landmarks=np.full((1, 5, 2), 7.7))
    (record,) = json_record(ImageFaces("a.jpg", 9, 9, face))["faces"]
    assert record["box"] == [0.1, 1.0, 2.5, 12.3]
    assert record["score"] == 0.98
    assert record["landmarks"]["nose"] == [7.7, 7.7]


def test_each_json_line_is_the_record_of_one_image(tmp_path: Path) -> None:
    write_json_lines(tmp_path / "faces.jsonl", iter([PARTY, EMPTY]))
    lines = (tmp_path / "faces.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [json_record(PARTY), json_record(EMPTY)]


def test_a_csv_file_has_one_row_per_face_under_its_header(tmp_path: Path) -> None:
    write_csv(tmp_path / "faces.csv", [PARTY, EMPTY])
    with (tmp_path / "faces.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3
    assert tuple(rows[0]) == CSV_HEADER
    assert [row["face"] for row in rows] == ["0", "1", "2"]
    assert {row["image"] for row in rows} == {"0--Parade/party, late.jpg"}
    boxes = np.array([[row[c] for c in ("x1", "y1", "x2", "y2")] for row in rows], np.float32)
    assert np.array_equal(boxes, PARTY.faces.boxes)
    assert np.float32(rows[1]["right_mouth_y"]) == PARTY.faces.landmarks[1, 4, 1]


def test_rows_are_as_long_as_the_header() -> None:
    assert all(len(row) == len(CSV_HEADER) for row in csv_rows([PARTY]))


def test_a_coco_file_joins_images_annotations_and_the_category(tmp_path: Path) -> None:
    write_coco(tmp_path / "faces.json", [EMPTY, PARTY, PARTY])
    document = json.loads((tmp_path / "faces.json").read_text())
    assert document == coco_document([EMPTY, PARTY, PARTY])
    assert [image["id"] for image in document["images"]] == [1, 2, 3]
    assert [a["id"] for a in document["annotations"]] == [1, 2, 3, 4, 5, 6]
    assert [a["image_id"] for a in document["annotations"]] == [2, 2, 2, 3, 3, 3]
    (category,) = document["categories"]
    assert category["keypoints"] == list(LANDMARK_NAMES)
    for annotation, box in zip(document["annotations"], PARTY.faces.boxes, strict=False):
        x, y, w, h = annotation["bbox"]
        assert np.allclose([x, y, x + w, y + h], box)
        assert annotation["area"] == pytest.approx(w * h)
        assert annotation["category_id"] == category["id"]
        assert len(annotation["keypoints"]) == 15
        assert annotation["keypoints"][2::3] == [2] * 5
        assert annotation["num_keypoints"] == 5
        assert annotation["iscrowd"] == 0


@given(st.integers(0, 20), st.integers(0, 10_000))
def test_a_wider_face_text_reads_back_to_the_same_doubles_in_order(n: int, seed: int) -> None:
    faces = some(n, seed=seed)
    name, count, *lines = widerface_text(ImageFaces("9--Press/a_1.jpg", 640, 480, faces)).splitlines()
    assert (name, count, len(lines)) == ("a_1", str(n), n)
    found = np.array([line.split() for line in lines], np.float64).reshape(-1, 5)
    ranked = faces.by_score()
    boxes = ranked.boxes.astype(np.float64)
    assert np.array_equal(found[:, :2], boxes[:, :2])
    assert np.array_equal(found[:, 2:4], boxes[:, 2:] - boxes[:, :2])
    assert np.array_equal(found[:, 4], ranked.scores.astype(np.float64))
    assert (np.diff(found[:, 4]) <= 0).all()


def test_wider_face_files_lie_in_the_folder_of_their_event(tmp_path: Path) -> None:
    write_widerface(tmp_path, [PARTY, ImageFaces("x/y/1--Hand/b.c.png", 9, 9, Faces.empty())])
    assert (tmp_path / "0--Parade" / "party, late.txt").read_text() == widerface_text(PARTY)
    assert (tmp_path / "1--Hand" / "b.c.txt").read_text() == "b.c\n0\n"


@pytest.mark.parametrize("image", ["a.jpg", "../a.jpg", "/a.jpg"])
def test_an_image_without_an_event_is_an_error(image: str) -> None:
    with pytest.raises(InputError, match="event"):
        widerface_path(image)


def test_a_name_that_would_break_the_lines_is_an_error() -> None:
    with pytest.raises(InputError, match="line ends"):
        widerface_path("event/a\nb.jpg")


def test_two_images_of_one_name_do_not_overwrite_each_other(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.png and .*a\.jpg"):
        write_widerface(tmp_path, [ImageFaces(f"e/a.{end}", 9, 9, Faces.empty()) for end in ("jpg", "png")])


@pytest.mark.parametrize("write", [write_json, write_json_lines, write_csv, write_coco])
def test_a_failure_half_way_leaves_the_old_file(write, tmp_path: Path) -> None:
    def broken() -> Iterator[ImageFaces]:
        yield PARTY
        raise RuntimeError("the camera fell down")

    target = tmp_path / "faces.out"
    target.write_text("old")
    with pytest.raises(RuntimeError, match="camera"):
        write(target, broken())
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_an_image_without_pixels_is_an_error() -> None:
    with pytest.raises(ConfigError, match="0 x 5"):
        ImageFaces("a.jpg", 0, 5, Faces.empty())
