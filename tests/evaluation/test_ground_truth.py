from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ffcore.errors import ConfigError, InputError
from ffcore.evaluation.any_ground_truth import read_ground_truth
from ffcore.evaluation.ground_truth import GroundTruth, image_key, read_image_list


def small() -> GroundTruth:
    return GroundTruth(
        images=("0--A/a", "0--A/b.c", "1--B/a", "1--B/d"),
        boxes=np.array([[0, 0, 5, height] for height in (10, 29, 30, 50, 9)], float),
        offsets=np.array([0, 2, 2, 4, 5]),
        kept={"some": np.array([True, True, False, True, True])},
    )


@pytest.mark.parametrize(
    ("names", "images", "heights"),
    [
        (["1--B/d", "0--A/a"], ("0--A/a", "1--B/d"), [10, 29, 9]),
        (["d.jpg", "1--B/a.jpg"], ("1--B/a", "1--B/d"), [30, 50, 9]),
        (["b.c"], ("0--A/b.c",), []),
        (["0--A\\b.c.png"], ("0--A/b.c",), []),
    ],
)
def test_a_part_holds_the_named_images_in_the_order_of_the_set(
    names: list[str], images: tuple[str, ...], heights: list[int]
) -> None:
    part = small().only(names)
    assert part.images == images
    assert part.boxes[:, 3].tolist() == heights
    assert part.partial
    assert len(part.kept["some"]) == len(heights)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a"], "2 images have this name"),
        (["0--A/aa"], r"no such image; did you mean '0--A/a'"),
        (["9--Z/zz"], "no such image"),
        (["d", "1--B/d.jpg"], "names it twice"),
        ([], "is empty"),
    ],
)
def test_names_that_stand_for_no_single_image_are_refused(names: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        small().only(names)


def test_height_bands_include_the_larger_faces_and_ignore_what_was_ignored() -> None:
    bands = small().with_height_bands()
    assert {name: np.flatnonzero(kept).tolist() for name, kept in bands.kept.items()} == {
        "height>=50": [3],
        "height>=30": [3],
        "height>=10": [0, 1, 3],
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"offsets": np.array([0, 2, 2, 4, 6])}, "do not cut 5 rows"),
        ({"offsets": np.array([0, 3, 2, 4, 5])}, "do not cut 5 rows"),
        ({"images": ("a", "b", "c", "a")}, "names an image twice"),
        ({"boxes": np.full((5, 4), np.nan)}, "not finite"),
        ({"boxes": np.zeros((5, 4), np.float32)}, "float64"),
        ({"kept": {"some": np.ones(4, bool)}}, "subset some"),
        ({"kept": {"some": np.ones(5, int)}}, "subset some"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change: dict[str, object], message: str) -> None:
    truth = small()
    values = {"images": truth.images, "boxes": truth.boxes, "offsets": truth.offsets, "kept": truth.kept}
    with pytest.raises(ConfigError, match=message):
        GroundTruth(**(values | change))  # type: ignore[arg-type]


def test_a_list_of_images_has_one_name_per_line(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes("\ufeff0--A/a\r\n\r\n 1--B/d.jpg \n".encode())
    assert read_image_list(path) == ["0--A/a", "1--B/d.jpg"]
    path.write_text("\n \n")
    with pytest.raises(InputError, match="names no image"):
        read_image_list(path)
    with pytest.raises(InputError, match=r"cannot be read as a list of images: No such file or directory$"):
        read_image_list(tmp_path / "none.txt")


def test_labels_to_train_from_are_no_ground_truth(tmp_path: Path) -> None:
    (tmp_path / "label.txt").write_text("# a/1.jpg\n1 1 9 9\n")
    with pytest.raises(InputError, match="labels to train from"):
        read_ground_truth(tmp_path)


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("val/0--A/a.jpg", "0--A/a"),
        ("0--A\\a.jpg", "0--A/a"),
        ("a.b.jpg", "a.b"),
        ("a", "a"),
        ("/photos/a.jpg", "photos/a"),
    ],
)
def test_an_image_is_known_by_folder_and_name(path: str, key: str) -> None:
    assert image_key(path) == key
