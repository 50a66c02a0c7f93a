from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffcore.errors import InputError, MissingPredictionsError
from ffcore.evaluation.ground_truth import GroundTruth
from ffcore.evaluation.predictions import Predictions, predictions_from_faces, read_predictions
from ffcore.faces import Faces
from ffcore.results import ImageFaces, write_widerface

IMAGE = "0--Parade/0_Parade_1"


def truth_of(*images: str, partial: bool = False) -> GroundTruth:
    return GroundTruth(
        images, np.zeros((0, 4)), np.zeros(len(images) + 1, np.int64), {"all": np.zeros(0, bool)}, partial
    )


def write(folder: Path, text: str | bytes, image: str = IMAGE) -> Path:
    path = folder / f"{image}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read_one(folder: Path, text: str | bytes) -> Predictions:
    write(folder, text)
    return read_predictions(folder, truth_of(IMAGE))


@pytest.mark.parametrize(
    "text",
    [
        "0_Parade_1\n2\n1 2 3 4 0.5\n-1.5 2e1 .25 +4. 5E-1\n",
        "0_Parade_1\n2\n1 2 3 4 0.5\n-1.5 2e1 .25 +4. 5E-1",
        "0_Parade_1\r\n2\r\n1 2 3 4 0.5\r\n-1.5 2e1 .25 +4. 5E-1\r\n",
        "0_Parade_1\n2\n1 2 3 4 0.5 \n-1.5 2e1 .25 +4. 5E-1 \n",
        "0_Parade_1 \n2 \t\n1 2 3 4 0.5 \n-1.5 2e1 .25 +4. 5E-1\n\n\n \n",
        "0_Parade_1\n2\n1 2\t3  4 0.5\n  -1.5 2e1 .25 +4. 5E-1\t \r\n\r\n",
        "0_Parade_1.jpg\n2\n1 2 3 4 0.5\n-1.5 2e1 .25 +4. 5E-1\n",
        "0--Parade/0_Parade_1.jpg\n2\n1 2 3 4 0.5\n-1.5 2e1 .25 +4. 5E-1\n",
        "..\\val\\0_Parade_1.jpg\n2\n1 2 3 4 0.5\n-1.5 2e1 .25 +4. 5E-1\n",
    ],
)
def test_every_allowed_form_of_a_file_says_the_same(text: str, tmp_path: Path) -> None:
    predictions = read_one(tmp_path, text)
    assert predictions.boxes.tolist() == [[1, 2, 3, 4], [-1.5, 20, 0.25, 4]]
    assert predictions.scores.tolist() == [0.5, 0.5]
    assert predictions.offsets.tolist() == [0, 2]


@pytest.mark.parametrize(
    "text", ["0_Parade_1\n0\n", "0_Parade_1\n0", "0_Parade_1\r\n0\r\n\r\n", "0_Parade_1\n0 \n \n"]
)
def test_a_count_of_zero_is_an_empty_list(text: str, tmp_path: Path) -> None:
    predictions = read_one(tmp_path, text)
    assert predictions.offsets.tolist() == [0, 0]
    assert not predictions.missing


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("0_Parade_2\n0\n", "line 1: names another image, '0_Parade_2'"),
        ("0_Parade\n0\n", "line 1: names another image"),
        ("0_Parade_1_\n0\n", "line 1: names another image"),
        ("\n0\n", "line 1: names another image, ''"),
        ("0_Parade_1\n", "line 2: the number of boxes is missing"),
        ("0_Parade_1\n1 2 3 4 0.5\n", "line 2: the number of boxes expected, '1 2 3 4 0.5' found"),
        ("0_Parade_1\n-1\n", "line 2: the number of boxes expected"),
        ("0_Parade_1\n1.0\n1 2 3 4 0.5\n", "line 2: the number of boxes expected"),
        ("0_Parade_1\n1_0\n", "line 2: the number of boxes expected"),
        ("0_Parade_1\n\n1\n1 2 3 4 0.5\n", "line 2: the number of boxes expected"),
        ("0_Parade_1\n2\n1 2 3 4 0.5\n", "line 2: 2 boxes announced, 1 lines follow"),
        ("0_Parade_1\n1\n1 2 3 4 0.5\n1 2 3 4 0.4\n", "line 2: 1 boxes announced, 2 lines follow"),
        ("0_Parade_1\n1\n", "line 2: 1 boxes announced, 0 lines follow"),
        ("0_Parade_1\n0\n1 2 3 4 0.5\n", "line 2: 0 boxes announced, 1 lines follow"),
        ("0_Parade_1\n2\n1 2 3 4 0.5\n1 2 3", "line 4: 5 numbers expected, 3 found"),
        ("0_Parade_1\n2\n1 2 3 4\n5 1 2 3 4 5\n", "line 3: 5 numbers expected, 4 found"),
        ("0_Parade_1\n2\n1 2 3 4 \n1 2 3 4 5 6\n", "line 3: 5 numbers expected, 4 found"),
        ("0_Parade_1\n2\n1 2 3 4 5 6\n 1 2 3 4 \n", "line 3: 5 numbers expected, 6 found"),
        ("0_Parade_1\n2\n1 2 3 4 5 1 2 3 4 5\n\n", "line 3: 5 numbers expected, 10 found"),
        ("0_Parade_1\n2\n1 2 3 4 0.5\n\n1 2 3 4 0.5\n", "line 4: is empty"),
        ("0_Parade_1\n1\n1 2 3 4 nan\n", "line 3: 'nan' is no finite number"),
        ("0_Parade_1\n1\n1 2 inf 4 0.5\n", "line 3: 'inf' is no finite number"),
        ("0_Parade_1\n1\n1 2 3 4 1e999\n", "line 3: '1e999' is no finite number"),
        ("0_Parade_1\n1\n1_0 2 3 4 0.5\n", "line 3: '1_0' is no finite number"),
        ("0_Parade_1\n1\n0x10 2 3 4 0.5\n", "line 3: '0x10' is no finite number"),
        ("0_Parade_1\n1\n1-2 2 3 4 0.5\n", "line 3: '1-2' is no finite number"),
        ("0_Parade_1\n1\n1 2 3 4 -\n", "line 3: '-' is no finite number"),
        ("0_Parade_1\n1\n1,2 2 3 4 0.5\n", "line 3: '1,2' is no finite number"),
        ("0_Parade_1\n1\n1 2 3 4 ٠٫٥\n", "line 3: '٠٫٥' is no finite number"),
        ("0_Parade_1\n2\n1 2 3 4 0.5\n1 2 3 4 x\n", "line 4: 'x' is no finite number"),
        ("0_Parade_1\n1\n1 2 3 4\r0.5\n", "line 3: holds a character that is no blank"),
        ("0_Parade_1\n1\n1 2 3 4\x0b0.5\n", "line 3: holds a character that is no blank"),
        ("0_Parade_1\r1\r1 2 3 4 0.5\r", "line 1: names another image"),
        (b"0_Parade_1\n1\n1 2 3 4 \xff\n", "line 3: '\ufffd' is no finite number"),
        (b"\x00\x01\x02", "line 1: names another image"),
    ],
)
def test_a_damaged_file_is_an_error_that_names_file_and_line(
    text: str | bytes, message: str, tmp_path: Path
) -> None:
    for missing in ("refuse", "empty"):
        with pytest.raises(InputError) as caught:
            read_predictions(write(tmp_path, text).parent.parent, truth_of(IMAGE), missing=missing)  # type: ignore[arg-type]
        assert str(caught.value).startswith(str(tmp_path / f"{IMAGE}.txt"))
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)


def test_only_the_damaged_file_of_many_is_named(tmp_path: Path) -> None:
    images = [f"0--A/a{number}" for number in range(5)]
    for image in images:
        write(tmp_path, f"{image[5:]}\n1\n1 2 3 4 0.5\n", image)
    write(tmp_path, "a3\n1\n1 2 3 4 1e400\n", "0--A/a3")
    with pytest.raises(InputError, match=r"a3\.txt line 3: '1e400'"):
        read_predictions(tmp_path, truth_of(*images))


words = st.lists(st.sampled_from(["1", "-2.5", "1e3", "x", "nan", "1_0"]), max_size=7)
gaps = st.sampled_from([" ", "  ", "\t", " \r"])
lines = st.builds(
    lambda words, gap, end: gap.join(words) + end, words, gaps, st.sampled_from(["", " ", "\r"])
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(lines, st.just("1 2 3 4 5"), st.just("1 2 3 4 5 ")), max_size=4), st.integers(0, 4))
def test_a_file_is_read_exactly_when_a_plain_reader_would_read_it(
    tmp_path_factory: pytest.TempPathFactory, body: list[str], count: int
) -> None:
    folder = tmp_path_factory.mktemp("plain")
    text = "\n".join(["0_Parade_1", str(count), *body])
    expected = read_plainly(text)
    if expected is None:
        with pytest.raises(InputError, match="line"):
            read_one(folder, text)
    else:
        found = read_one(folder, text)
        assert np.column_stack([found.boxes, found.scores]).tolist() == expected


def read_plainly(text: str) -> list[list[float]] | None:
    lines = [line.removesuffix("\r").rstrip(" \t") for line in (text + "\n").split("\n")]
    while not lines[-1]:
        lines.pop()
    rows = []
    for line in lines[2:]:
        words = line.replace("\t", " ").split(" ")
        words = [word for word in words if word]
        if len(words) != 5 or not set("".join(words)) <= set("0123456789.+-e"):
            return None
        rows.append([float(word) for word in words])
    return rows if len(rows) == int(lines[1]) else None


def test_missing_files_are_counted_and_named(tmp_path: Path) -> None:
    images = [f"0--A/a{number}" for number in range(22)] + ["1--B/b"]
    write(tmp_path, "b\n0\n", "1--B/b")
    with pytest.raises(MissingPredictionsError, match=r"22 of 23 images .* 0--A/a19 and 2 more") as caught:
        read_predictions(tmp_path, truth_of(*images))
    assert caught.value.missing == tuple(images[:22])


def test_missing_files_count_as_empty_only_on_request_and_stay_named(tmp_path: Path) -> None:
    write(tmp_path, "0_Parade_1\n1\n1 2 3 4 0.5\n")
    predictions = read_predictions(tmp_path, truth_of("0--A/a", IMAGE), missing="empty")
    assert predictions.missing == ("0--A/a",)
    assert predictions.offsets.tolist() == [0, 0, 1]


def test_a_folder_without_any_event_says_so(tmp_path: Path) -> None:
    with pytest.raises(MissingPredictionsError, match="is this the folder that holds the event folders"):
        read_predictions(tmp_path, truth_of(IMAGE))


def test_a_missing_folder_is_an_error_with_or_without_the_flag(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        read_predictions(tmp_path / "nowhere", truth_of(IMAGE), missing="empty")


@pytest.mark.parametrize("other", ["0--Parade/0_Parade_2", "9--Else/x"])
def test_files_of_other_images_are_an_error_unless_a_part_was_asked_for(other: str, tmp_path: Path) -> None:
    write(tmp_path, "0_Parade_1\n0\n")
    write(tmp_path, "damaged", other)
    with pytest.raises(InputError, match=f"1 files belong to no image of the ground truth: {other}"):
        read_predictions(tmp_path, truth_of(IMAGE))
    read_predictions(tmp_path, truth_of(IMAGE, partial=True))


def test_what_is_no_prediction_file_is_passed_over(tmp_path: Path) -> None:
    write(tmp_path, "0_Parade_1\n0\n")
    (tmp_path / "readme.txt").write_text("made with care")
    (tmp_path / "0--Parade" / "notes.md").write_text("no prediction")
    (tmp_path / "0--Parade" / "._0_Parade_1.txt").write_text("left by a Mac")
    assert read_predictions(tmp_path, truth_of(IMAGE)).offsets.tolist() == [0, 0]


def test_a_folder_in_place_of_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / f"{IMAGE}.txt").mkdir(parents=True)
    with pytest.raises(InputError, match="cannot be read"):
        read_predictions(tmp_path, truth_of(IMAGE), missing="empty")


def test_images_in_no_folder_have_their_files_at_the_top(tmp_path: Path) -> None:
    write(tmp_path, "photo\n1\n1 2 3 4 0.5\n", "photo")
    assert read_predictions(tmp_path, truth_of("photo")).scores.tolist() == [0.5]


def detection(image: str, seed: int, count: int = 4) -> ImageFaces:
    rng = np.random.default_rng(seed)
    corner = rng.normal(100, 80, (count, 2))
    boxes = np.hstack([corner, corner + rng.uniform(0, 90, (count, 2))]).astype(np.float32)
    faces = Faces(boxes, rng.random(count).astype(np.float32), np.zeros((count, 5, 2), np.float32))
    return ImageFaces(image, 640, 480, faces.by_score())


def test_faces_in_memory_are_those_that_come_back_from_written_files(tmp_path: Path) -> None:
    results = [
        detection("photos/0--A/a.jpg", 1),
        detection("photos/1--B/b.c.jpg", 2),
        detection("0--A/e.png", 3, 0),
    ]
    truth = truth_of("0--A/e", "1--B/b.c", "0--A/a")
    write_widerface(tmp_path, results)
    read, direct = read_predictions(tmp_path, truth), predictions_from_faces(results, truth)
    assert len(read.scores) == 8
    assert np.array_equal(read.boxes, direct.boxes)
    assert np.array_equal(read.scores, direct.scores)
    assert np.array_equal(read.offsets, direct.offsets)


def test_faces_in_memory_must_fit_the_images() -> None:
    truth = truth_of("0--A/a", "0--A/b")
    first = detection("0--A/a.jpg", 1)
    with pytest.raises(MissingPredictionsError, match="1 of 2 images have no predictions: 0--A/b"):
        predictions_from_faces([first], truth)
    assert predictions_from_faces([first], truth, missing="empty").missing == ("0--A/b",)
    with pytest.raises(InputError, match="two results"):
        predictions_from_faces([first, first], truth)
    with pytest.raises(InputError, match="no image 0--A/z"):
        predictions_from_faces([detection("0--A/z.jpg", 1)], truth)
