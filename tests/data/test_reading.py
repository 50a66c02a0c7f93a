from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ffcore.data import read_annotations
from ffcore.errors import ConfigError, InputError
from tests.data.sets import POINTS, UNKNOWN, photo, retinaface

GOOD = f"# a/1.jpg\n10 10 20 20 {POINTS} 0.5\n# a/2.jpg\n0 0 9 9 {UNKNOWN} 0\n# b/3.jpg\n"
OFFICIAL = "2 0 0 0 0 0"


def kinds(report: Any) -> dict[str, int]:
    return dict(report.counts)


def test_retinaface_labels_give_boxes_landmarks_and_masks(tmp_path: Path) -> None:
    one, two, three = read_annotations(retinaface(tmp_path, GOOD)).images
    np.testing.assert_array_equal(one.faces.boxes, [[10, 10, 30, 30]])
    np.testing.assert_array_equal(one.faces.landmarks[0], [[12, 12], [18, 12], [15, 15], [12, 18], [18, 18]])
    assert one.faces.has_landmarks.tolist() == [True]
    assert two.faces.has_landmarks.tolist() == [False]
    assert (two.faces.landmarks == 0).all()
    assert len(three.faces) == 0
    assert (one.name, one.path) == ("a/1.jpg", tmp_path / "images" / "a" / "1.jpg")


def test_a_clean_set_has_no_defects_and_counted_notes(tmp_path: Path) -> None:
    report = read_annotations(retinaface(tmp_path, GOOD), strict=True).report
    assert (report.images, report.faces, report.faces_with_landmarks, report.defects) == (3, 2, 1, ())
    assert report.notes == {"landmarks_missing": 1, "image_without_faces": 1}


@pytest.mark.parametrize(
    ("line", "kind", "kept"),
    [
        (f"10 10 0 20 {POINTS} 0", "zero_size_box", 0),
        (f"10 10 20 -3 {POINTS} 0", "zero_size_box", 0),
        (f"64 10 20 20 {POINTS} 0", "box_outside", 0),
        (f"-30 10 20 20 {POINTS} 0", "box_outside", 0),
        ("10 10 20", "malformed_line", 0),
        (f"10 ten 20 20 {POINTS} 0", "malformed_line", 0),
        (f"10 nan 20 20 {POINTS} 0", "malformed_line", 0),
        (f"10 inf 20 20 {POINTS} 0", "malformed_line", 0),
        (f"10 10 1e300 20 {POINTS} 0", "malformed_line", 0),  # finite, but not in float32
        ("10 10 20 20 -1 -1 -1 18 12 0 15 15 0 12 18 0 18 18 0 0", "landmarks_incomplete", 1),
    ],
)
def test_each_defect_of_a_face_is_counted_with_its_line(
    tmp_path: Path, line: str, kind: str, kept: int
) -> None:
    found = read_annotations(retinaface(tmp_path, f"# a/1.jpg\n{line}\n# b/3.jpg\n5 5 9 9\n"))
    (defect,) = found.report.defects
    assert (defect.kind, defect.where) == (kind, "label.txt line 2")
    assert len(found.images[0].faces) == kept
    assert not found.images[0].faces.has_landmarks.any()
    assert len(found.images[1].faces) == 1  # reading went on
    with pytest.raises(InputError, match=r"label\.txt line 2"):
        read_annotations(tmp_path, strict=True)


def test_a_name_with_a_nul_in_its_folder_is_a_missing_image(tmp_path: Path) -> None:
    found = read_annotations(retinaface(tmp_path, "# a\0b/1.jpg\n1 1 9 9\n# b/3.jpg\n"))
    assert kinds(found.report) == {"missing_image": 1}
    assert [image.name for image in found.images] == ["b/3.jpg"]


def test_a_box_that_reaches_beyond_the_image_is_kept_and_noted(tmp_path: Path) -> None:
    found = read_annotations(retinaface(tmp_path, "# a/1.jpg\n-4 10 20 20\n"))
    np.testing.assert_array_equal(found.images[0].faces.boxes, [[-4, 10, 16, 30]])
    assert found.report.notes["box_cut"] == 1
    assert not found.report.defects


def test_the_same_face_and_the_same_image_count_once(tmp_path: Path) -> None:
    found = read_annotations(
        retinaface(tmp_path, "# a/1.jpg\n1 1 9 9\n1 1 9 9\n# a/2.jpg\n# a/1.jpg\n5 5 9 9\n")
    )
    assert kinds(found.report) == {"duplicate_face": 1, "duplicate_image": 1}
    assert [len(image.faces) for image in found.images] == [1, 0]


def test_missing_corrupt_and_gray_images_are_counted(tmp_path: Path) -> None:
    names = ("a/1.jpg", "a/gone.jpg", "a/bad.jpg", "a/gray.png")
    retinaface(tmp_path, "".join(f"# {name}\n1 1 9 9\n" for name in names), photos=("a/1.jpg",))
    (tmp_path / "images/a/bad.jpg").write_bytes(b"no image")
    photo(tmp_path / "images/a/gray.png", gray=True)
    found = read_annotations(tmp_path, check="pixels")
    assert [image.name for image in found.images] == ["a/1.jpg", "a/gray.png"]
    assert kinds(found.report) == {"missing_image": 1, "corrupt_image": 1}
    assert found.report.notes["grayscale_image"] == 1


def test_only_looking_at_pixels_finds_a_truncated_image(tmp_path: Path) -> None:
    retinaface(tmp_path, GOOD)
    place = tmp_path / "images/a/1.jpg"
    place.write_bytes(place.read_bytes()[:-200])
    assert kinds(read_annotations(tmp_path).report) == {}
    assert kinds(read_annotations(tmp_path, check="pixels").report) == {"corrupt_image": 1}


def test_an_image_saved_in_another_format_is_found_by_its_stem(tmp_path: Path) -> None:
    retinaface(tmp_path, "# a/x.jpg\n1 1 9 9\n", photos=("a/x.png",))
    assert read_annotations(tmp_path).images[0].path.name == "x.png"


@pytest.mark.parametrize("names", [["a/2.jpg", "b/3"], "list.txt"])
def test_a_list_of_names_restricts(tmp_path: Path, names: Any) -> None:
    retinaface(tmp_path, GOOD)
    if names == "list.txt":
        names = tmp_path / "list.txt"
        names.write_text("a/2.jpg\n\nb/3.jpg\n")
    found = read_annotations(tmp_path, names=names)
    assert [image.name for image in found.images] == ["a/2.jpg", "b/3.jpg"]


def test_a_listed_name_without_labels_is_a_defect(tmp_path: Path) -> None:
    report = read_annotations(retinaface(tmp_path, GOOD), names=["a/1.jpg", "c/9.jpg"]).report
    assert [(defect.kind, defect.where) for defect in report.defects] == [("unknown_name", "c/9.jpg")]


def test_no_usable_image_at_all_is_an_error_that_says_why(tmp_path: Path) -> None:
    (tmp_path / "label.txt").write_text(GOOD)
    with pytest.raises(InputError, match=r"no image can be used.*no such image below"):
        read_annotations(tmp_path)


def wider(tmp_path: Path, text: str) -> Path:
    for name in ("a/1.jpg", "b/2.jpg"):
        photo(tmp_path / "images" / name)
    (tmp_path / "wider_face_train_bbx_gt.txt").write_text(text)
    return tmp_path


def test_official_labels_mark_invalid_faces_as_ignored(tmp_path: Path) -> None:
    text = f"a/1.jpg\n2\n1 2 10 12 {OFFICIAL} \n20 20 9 9 2 0 0 1 0 0 \nb/2.jpg\n0\n0 0 0 0 0 0 0 0 0 0 \n"
    found = read_annotations(wider(tmp_path, text), strict=True)
    np.testing.assert_array_equal(found.images[0].faces.boxes, [[1, 2, 11, 14], [20, 20, 29, 29]])
    assert found.images[0].faces.ignore.tolist() == [False, True]
    assert len(found.images[1].faces) == 0
    assert found.report.notes == {"landmarks_missing": 2, "ignored_face": 1, "image_without_faces": 1}


def test_faces_that_official_labels_beside_mark_invalid_are_ignored(tmp_path: Path) -> None:
    retinaface(tmp_path, f"# a/1.jpg\n1 2 10 12 {POINTS} 0\n20 20 9 9\n# a/2.jpg\n1 2 10 12\n")
    official = f"a/1.jpg\n2\n1 2 10 12 2 0 0 1 0 0\n20 20 9 9 {OFFICIAL}\na/2.jpg\n1\n1 2 10 12 {OFFICIAL}\n"
    (tmp_path / "wider_face_train_bbx_gt.txt").write_text(official)
    for place in (tmp_path, tmp_path / "label.txt"):
        one, two = read_annotations(place, strict=True).images
        assert one.faces.ignore.tolist() == [True, False]
        assert one.faces.has_landmarks.tolist() == [True, False]
        assert two.faces.ignore.tolist() == [False]


@pytest.mark.parametrize("count", ["9" * 5000, "٣", "-1", "1.0"])
def test_a_number_of_faces_that_is_none_is_a_defect(count: str, tmp_path: Path) -> None:
    for name in ("a/1.jpg", "b/3.jpg"):
        photo(tmp_path / "images" / name)
    text = f"a/1.jpg\n{count}\n1 2 10 12 {OFFICIAL}\nb/3.jpg\n1\n1 2 10 12 {OFFICIAL}\n"
    (tmp_path / "wider_face_train_bbx_gt.txt").write_text(text, encoding="utf-8")
    found = read_annotations(tmp_path)
    assert [defect.where for defect in found.report.defects] == ["wider_face_train_bbx_gt.txt line 2"]
    assert [len(image.faces) for image in found.images] == [0, 1]


def test_official_labels_go_on_after_a_wrong_count_and_a_short_line(tmp_path: Path) -> None:
    found = read_annotations(
        wider(tmp_path, f"a/1.jpg\n3\n1 2 10 12 {OFFICIAL}\n1 2 3\nb/2.jpg\n1\n5 5 9 9 {OFFICIAL}\n")
    )
    assert [defect.where for defect in found.report.defects] == [
        "wider_face_train_bbx_gt.txt line 2",
        "wider_face_train_bbx_gt.txt line 4",
    ]
    assert [len(image.faces) for image in found.images] == [1, 1]


def coco(tmp_path: Path, annotations: list[Any]) -> Path:
    photo(tmp_path / "images" / "a/1.jpg")
    document = {
        "images": [{"id": 7, "file_name": "a/1.jpg"}],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "face"}, {"id": 2, "name": "car"}],
    }
    (tmp_path / "faces.json").write_text(json.dumps(document))
    return tmp_path


def test_coco_keypoints_become_landmarks_unless_invisible(tmp_path: Path) -> None:
    visible = [value for i in range(5) for value in (10 + i, 20 + i, 2)]
    face = {"image_id": 7, "category_id": 1, "bbox": [1, 2, 10, 12]}
    found = read_annotations(
        coco(
            tmp_path,
            [
                {**face, "keypoints": visible},
                {**face, "bbox": [5, 5, 9, 9], "keypoints": [0] * 15, "iscrowd": 1},
                {**face, "category_id": 2},
                {**face, "bbox": [1, 2]},
                {**face, "image_id": 8},
                {**face, "bbox": [7, 7, 9, 9], "keypoints": visible[:12]},
            ],
        )
    )
    faces = found.images[0].faces
    np.testing.assert_array_equal(faces.boxes, [[1, 2, 11, 14], [5, 5, 14, 14]])
    np.testing.assert_array_equal(faces.landmarks[0, 4], [14, 24])
    assert faces.has_landmarks.tolist() == [True, False]
    assert faces.ignore.tolist() == [False, True]
    # belonging to no image is seen while reading, before the faces of an image are looked at
    assert [defect.where for defect in found.report.defects] == [
        f"faces.json annotations[{number}]" for number in (3, 4, 5)
    ]
    assert found.report.notes["other_class"] == 1


def test_what_is_no_coco_document_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("[]")
    with pytest.raises(InputError, match="no COCO document"):
        read_annotations(tmp_path)


def yolo(tmp_path: Path, text: str) -> Path:
    photo(tmp_path / "images" / "a/1.jpg", width=100, height=50)
    photo(tmp_path / "images" / "a/2.jpg")
    (tmp_path / "labels" / "a").mkdir(parents=True)
    (tmp_path / "labels" / "a" / "1.txt").write_text(text)
    return tmp_path


def test_yolo_fractions_become_pixels(tmp_path: Path) -> None:
    points = "0.4 0.4 2 0.6 0.4 2 0.5 0.5 1 0.4 0.6 2 0.6 0.6 2"
    found = read_annotations(yolo(tmp_path, f"0 0.5 0.5 0.2 0.4 {points}\n0 .1 .1 .1 .1\n3 .5 .5 .1 .1\n"))
    one, two = found.images
    np.testing.assert_allclose(one.faces.boxes, [[40, 15, 60, 35], [5, 2.5, 15, 7.5]], atol=1e-5)
    np.testing.assert_allclose(one.faces.landmarks[0, :2], [[40, 20], [60, 20]], atol=1e-5)
    assert one.faces.has_landmarks.tolist() == [True, False]
    assert len(two.faces) == 0
    assert not found.report.defects
    assert found.report.notes["other_class"] == 1


def test_yolo_landmarks_may_come_without_visibility(tmp_path: Path) -> None:
    found = read_annotations(
        yolo(tmp_path, "0 .5 .5 .2 .4 .4 .4 .6 .4 .5 .5 .4 .6 .6 .6\n0 .2 .2 .1 .1" + " -1" * 10)
    )
    assert found.images[0].faces.has_landmarks.tolist() == [True, False]
    np.testing.assert_allclose(found.images[0].faces.landmarks[0, 4], [60, 30], atol=1e-5)


def test_yolo_defects_name_file_and_line(tmp_path: Path) -> None:
    yolo(tmp_path, "0 .5 .5 .2\n0 50 50 20 40\n0 .5 .5 0 .2\n0 .5 .5 .1 .1\n")
    (tmp_path / "labels/a/9.txt").write_text("")
    found = read_annotations(tmp_path)
    where = {defect.where.replace("\\", "/"): defect.kind for defect in found.report.defects}
    assert where == {
        "a/9.txt": "missing_image",
        "a/1.txt line 1": "malformed_line",
        "a/1.txt line 2": "malformed_line",
        "a/1.txt line 3": "zero_size_box",
    }
    assert len(found.images[0].faces) == 1


def test_files_are_recognised_by_their_content(tmp_path: Path) -> None:
    folder = retinaface(tmp_path, GOOD)
    moved = (tmp_path / "label.txt").rename(tmp_path / "anything.txt")
    assert len(read_annotations(moved).images) == 3
    official = folder / "official.txt"
    official.write_text(f"a/1.jpg\n1\n1 1 9 9 {OFFICIAL}\n")
    assert len(read_annotations(official).images) == 1


def test_what_cannot_be_recognised_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no labels; label\.txt"):
        read_annotations(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        read_annotations(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="retinaface"):
        read_annotations(tmp_path, "retina")  # type: ignore[arg-type]
    (tmp_path / "x.txt").write_text("hello\n")
    with pytest.raises(InputError, match="no file of labels"):
        read_annotations(tmp_path / "x.txt")


def test_several_coco_files_must_be_told_apart(tmp_path: Path) -> None:
    coco(tmp_path, [])
    (tmp_path / "more.json").write_text("{}")
    with pytest.raises(InputError, match=r"faces\.json, more\.json"):
        read_annotations(tmp_path)
