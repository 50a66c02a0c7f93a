from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ffcore.errors import ImageError, InputError
from ffcore.evaluation.labels import read_coco_ground_truth, read_yolo_ground_truth
from ffcore.evaluation.predictions import predictions_from_faces
from ffcore.evaluation.scoring import evaluate
from ffcore.faces import Faces
from ffcore.results import ImageFaces, write_coco


def coco() -> dict[str, Any]:
    return {
        "images": [{"id": 7, "file_name": "in/a.jpg"}, {"id": 3, "file_name": "b.jpg"}],
        "categories": [{"id": 1, "name": "face"}, {"id": 2, "name": "dog"}],
        "annotations": [
            {"image_id": 3, "category_id": 1, "bbox": [0, 0, 20, 40.5]},
            {"image_id": 7, "category_id": 1, "bbox": [1, 2, 30, 60]},
            {"image_id": 7, "category_id": 2, "bbox": [1, 2, 30, 60]},
            {"image_id": 7, "category_id": 1, "bbox": [5, 5, 90, 90], "iscrowd": 1},
            {"image_id": 7, "category_id": 1, "bbox": [5, 5, 9, 9]},
        ],
    }


def write_json(folder: Path, document: Any) -> Path:
    path = folder / "faces.json"
    path.write_text(json.dumps(document))
    return path


def test_coco_faces_are_read_in_the_order_of_the_images(tmp_path: Path) -> None:
    truth = read_coco_ground_truth(write_json(tmp_path, coco()))
    assert truth.images == ("in/a", "b")
    assert truth.boxes.tolist() == [[1, 2, 30, 60], [5, 5, 90, 90], [5, 5, 9, 9], [0, 0, 20, 40.5]]
    assert truth.offsets.tolist() == [0, 3, 4]
    kept = {name: np.flatnonzero(mask).tolist() for name, mask in truth.kept.items()}
    assert kept == {"height>=50": [0], "height>=30": [0, 3], "height>=10": [0, 3]}


def test_another_category_can_be_named(tmp_path: Path) -> None:
    truth = read_coco_ground_truth(write_json(tmp_path, coco()), category="dog", bands={"all": 0})
    assert truth.boxes.tolist() == [[1, 2, 30, 60]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("images"), "has no list of images"),
        (lambda d: d.pop("annotations"), "has no list of annotations"),
        (lambda d: d["categories"].pop(0), None),  # one left: no doubt which
        (lambda d: d["categories"][0].update(name="head"), "no category 'face'; choose one of head, dog"),
        (lambda d: d["images"][1].update(id=7), r"images\[1\] has the id 7 of another"),
        (lambda d: d["images"][1].pop("file_name"), r"images\[1\] has no id or no file_name"),
        (lambda d: d["images"][1].update(id=[1]), r"images\[1\] has no id"),
        (
            lambda d: d["images"][1].update(file_name="x/in/a.png"),
            "in/a.jpg and x/in/a.png would both be in/a",
        ),
        (lambda d: d["annotations"][1].update(image_id=8), r"annotations\[1\] belongs to no image"),
        (lambda d: d["annotations"][1].update(bbox=[1, 2, 3]), r"annotations\[1\] needs a bbox"),
        (
            lambda d: d["annotations"][1].update(bbox=[1, 2, 3, float("nan")]),
            r"annotations\[1\] needs a bbox",
        ),
        (lambda d: d.update(images=[], annotations=[]), "holds no images"),
    ],
)
def test_coco_files_that_make_no_sense_are_refused(change: Any, message: str | None, tmp_path: Path) -> None:
    document = coco()
    change(document)
    path = write_json(tmp_path, document)
    if message is None:
        assert len(read_coco_ground_truth(path).boxes) == 1
        return
    with pytest.raises(InputError, match=message):
        read_coco_ground_truth(path)


@pytest.mark.parametrize("text", ["", "{", "[]", "3"])
def test_what_is_no_coco_file_is_refused_by_name(text: str, tmp_path: Path) -> None:
    path = tmp_path / "faces.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"faces\.json"):
        read_coco_ground_truth(path)


def test_what_we_write_as_coco_is_a_ground_truth_on_which_we_score_fully(tmp_path: Path) -> None:
    boxes = np.array([[10, 10, 60, 80], [100, 20, 130, 60]], np.float32)
    faces = Faces(boxes, np.array([0.9, 0.1], np.float32), np.zeros((2, 5, 2), np.float32))
    results = [ImageFaces("in/a.jpg", 200, 100, faces), ImageFaces("in/b.jpg", 200, 100, Faces.empty())]
    write_coco(tmp_path / "faces.json", results)
    truth = read_coco_ground_truth(tmp_path / "faces.json")
    result = evaluate(truth, predictions_from_faces(results, truth))
    assert result.ap == {"height>=50": 1.0, "height>=30": 1.0, "height>=10": 1.0}
    assert result.faces == {"height>=50": 1, "height>=30": 2, "height>=10": 2}


def yolo(
    folder: Path, text: str, *, place: str = "val/a", size: tuple[int, int] = (200, 100)
) -> tuple[Path, Path]:
    labels, images = folder / "labels", folder / "images"
    for path in (labels / place, images / place):
        path.parent.mkdir(parents=True, exist_ok=True)
    (labels / f"{place}.txt").write_text(text)
    Image.new("RGB", size).save(images / f"{place}.jpg")
    return labels, images


def test_yolo_faces_are_fractions_of_the_image(tmp_path: Path) -> None:
    labels, images = yolo(tmp_path, "0 0.5 0.5 0.25 0.6 0.1 0.1 -1 -1\n\n1 0.1 0.1 0.1 0.1\n0 0 0 0.1 0.4\n")
    Image.new("RGB", (8, 8)).save(images / "without.png")
    truth = read_yolo_ground_truth(labels, images=images)
    assert truth.images == ("val/a", "without")
    assert truth.boxes == pytest.approx(np.array([[75, 20, 50, 60], [-10, -20, 20, 40]]))
    assert truth.offsets.tolist() == [0, 2, 2]
    assert [int(kept.sum()) for kept in truth.kept.values()] == [1, 2, 2]


def test_yolo_fractions_are_those_of_the_upright_image(tmp_path: Path) -> None:
    labels, images = yolo(tmp_path, "0 0.5 0.5 1 1\n")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (200, 100)).save(images / "val" / "a.jpg", exif=exif)
    truth = read_yolo_ground_truth(labels, images=images)
    assert truth.boxes.tolist() == [[0, 0, 100, 200]]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.5 0.5 0.1", r"a\.txt line 2: class x y w h expected, 4 numbers found"),
        ("0 0.5 0.5 0.1 tall", r"a\.txt line 2: holds a word"),
        ("0 0.5 0.5 0.1 nan", r"a\.txt line 2: x y w h must be fractions"),
        ("0 100 50 30 40", r"a\.txt line 2: x y w h must be fractions"),
        ("0 0.5 0.5 0.1 -0.1", r"a\.txt line 2: x y w h must be fractions"),
    ],
)
def test_a_damaged_yolo_label_is_refused_by_file_and_line(line: str, message: str, tmp_path: Path) -> None:
    labels, images = yolo(tmp_path, f"0 0.5 0.5 0.1 0.1\n{line}\n")
    with pytest.raises(InputError, match=message):
        read_yolo_ground_truth(labels, images=images)


def test_yolo_labels_without_an_image_are_refused(tmp_path: Path) -> None:
    labels, images = yolo(tmp_path, "")
    (labels / "classes.txt").write_text("face\n")
    read_yolo_ground_truth(labels, images=images)
    (labels / "val" / "b.txt").write_text("")
    with pytest.raises(InputError, match=r"b\.txt: has no image"):
        read_yolo_ground_truth(labels, images=images)
    with pytest.raises(InputError, match="no such folder"):
        read_yolo_ground_truth(labels, images=tmp_path / "photos")


def test_an_image_whose_size_cannot_be_read_is_named(tmp_path: Path) -> None:
    labels, images = yolo(tmp_path, "0 0.5 0.5 0.1 0.1\n")
    (images / "val" / "a.jpg").write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"a\.jpg: its size cannot be read"):
        read_yolo_ground_truth(labels, images=images)
