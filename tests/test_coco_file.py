from __future__ import annotations

import json
from pathlib import Path

import pytest

from ffcore.coco_file import coordinate_list, face_category, read_coco_file
from ffcore.errors import InputError

DOCUMENT = {"images": [], "annotations": []}


def written(folder: Path, document: object) -> Path:
    path = folder / "faces.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot be read as COCO JSON"),
        ("[]", "no COCO document"),
        ('{"images": 3}', "no list of images"),
        ('{"images": []}', "no list of annotations"),
        ("[" * 100_000, "lists within lists"),
        ("\x00\x01", "cannot be read as COCO JSON"),
    ],
)
def test_what_is_no_coco_document_is_named(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "faces.json"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"faces\.json.*{message}"):
        read_coco_file(path)


def test_the_only_category_is_the_face_and_one_named_face_goes_before_others(tmp_path: Path) -> None:
    one = {**DOCUMENT, "categories": [{"id": 4, "name": "head"}]}
    assert face_category(read_coco_file(written(tmp_path, one)), None) == 4
    two = {**DOCUMENT, "categories": [{"id": 4, "name": "head"}, {"id": 9, "name": "face"}]}
    assert face_category(read_coco_file(written(tmp_path, two)), None) == 9
    assert face_category(read_coco_file(written(tmp_path, two)), "head") == 4
    assert face_category(read_coco_file(written(tmp_path, DOCUMENT)), None) is None


def test_categories_whose_names_are_lists_are_none_of_ours(tmp_path: Path) -> None:
    odd = {**DOCUMENT, "categories": [{"id": 4, "name": ["a"]}, {"id": [1], "name": "face"}, 3]}
    with pytest.raises(InputError, match="no category 'face'"):
        face_category(read_coco_file(written(tmp_path, odd)), "face")


@pytest.mark.parametrize("name", ["face", "head"])
def test_a_category_asked_for_in_a_file_without_categories_is_an_error(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none at all"):
        face_category(read_coco_file(written(tmp_path, DOCUMENT)), name)


@pytest.mark.parametrize(
    "values", [None, 3, "1234", [1, 2, 3], [1, 2, 3, "4"], [1, 2, 3, True], [1, 2, 3, float("inf")]]
)
def test_only_lists_of_finite_numbers_are_coordinates(values: object) -> None:
    assert coordinate_list(values, count=4) is None
    assert coordinate_list([1, 2, 3, 4.5], count=4) == [1.0, 2.0, 3.0, 4.5]


@pytest.mark.parametrize("value", [10**400, -(10**400), 1e300, -1e16])
def test_a_number_beyond_all_images_is_no_coordinate(value: float) -> None:
    assert coordinate_list([1, 2, 3, value], count=4) is None
