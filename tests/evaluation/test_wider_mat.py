from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from ffcore.errors import InputError
from ffcore.evaluation.ground_truth import GroundTruth
from ffcore.evaluation.wider_mat import read_wider_ground_truth

EVENTS = ["0--One", "1--Two"]
NAMES = [["a_1", "a_2"], ["b_1"]]
BOXES = [[[[1, 2, 3, 4], [5, 6, 7, 8]], []], [[[9, 9, 9, 9]] * 300]]
ROWS: dict[str, list[list[list[int]]]] = {
    "easy": [[[], []], [[1]]],
    "medium": [[[2], []], [[1, 2]]],
    "hard": [[[1, 2], []], [[300, 1, 2]]],
}


def cells(values: list[Any]) -> np.ndarray:
    column = np.empty((len(values), 1), dtype=object)
    for number, value in enumerate(values):
        column[number, 0] = value
    return column


def content(rows: list[list[list[int]]] | None) -> dict[str, Any]:
    """A small set with an image without rows, an empty list and row numbers beyond one byte."""
    found: dict[str, Any] = {
        "event_list": cells(EVENTS),
        "file_list": cells([cells(names) for names in NAMES]),
        "face_bbx_list": cells(
            [cells([np.array(boxes, np.int32).reshape(-1, 4) for boxes in event]) for event in BOXES]
        ),
    }
    if rows is not None:
        found["gt_list"] = cells([cells([column(each) for each in event]) for event in rows])
    return found


def put(array: np.ndarray, place: tuple[int, int], value: object) -> None:
    array[place] = value


def column(rows: list[int]) -> np.ndarray:
    if not rows:
        return np.zeros((0, 0), np.uint8)
    return np.array(rows, np.uint16 if max(rows) > 255 else np.uint8).reshape(-1, 1)


def write_set(folder: Path, **changes: Callable[[dict[str, Any]], object]) -> Path:
    for name, rows in {"face": None, **ROWS}.items():
        values = content(rows)
        if name in changes:
            changes[name](values)
        savemat(folder / f"wider_{name}_val.mat", values)
    return folder


def test_a_small_set_reads_as_it_was_written(tmp_path: Path) -> None:
    truth = read_wider_ground_truth(write_set(tmp_path), official=False)
    assert truth.images == ("0--One/a_1", "0--One/a_2", "1--Two/b_1")
    assert truth.events == ("0--One", "0--One", "1--Two")
    assert truth.boxes[:3].tolist() == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 9, 9, 9]]
    assert truth.offsets.tolist() == [0, 2, 2, 302]
    assert np.flatnonzero(truth.kept["easy"]).tolist() == [2]
    assert np.flatnonzero(truth.kept["medium"]).tolist() == [1, 2, 3]
    assert np.flatnonzero(truth.kept["hard"]).tolist() == [0, 1, 2, 3, 301]


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("face", lambda v: v.pop("file_list"), "wider_face_val.mat: has no file_list"),
        ("hard", lambda v: v.pop("gt_list"), "wider_hard_val.mat: has no gt_list"),
        ("easy", lambda v: v.update(event_list=np.zeros(3)), "event_list is no cell array"),
        ("face", lambda v: v.update(event_list=cells(EVENTS[:1])), "file_list has 2 cells for 1 events"),
        ("face", lambda v: put(v["file_list"], (1, 0), cells(["b_1", "b_2"])), "1--Two has 2 names in"),
        ("face", lambda v: put(v["file_list"], (0, 0), cells(["a_1", "a_1"])), "names 0--One/a_1 twice"),
        (
            "face",
            lambda v: put(v["file_list"], (1, 0), cells([np.ones(3)])),
            "holds a cell that is no name",
        ),
        (
            "medium",
            lambda v: put(v["file_list"], (1, 0), cells(["c_1"])),
            "not those of wider_face_val.mat",
        ),
        (
            "medium",
            lambda v: put(v["face_bbx_list"][0, 0][0, 0], (1, 1), 7),
            "the boxes of 0--One/a_1 are not",
        ),
        (
            "face",
            lambda v: put(v["face_bbx_list"][0, 0], (0, 0), np.ones((2, 5))),
            "a_1 is (2, 5) float64",
        ),
        ("easy", lambda v: put(v["gt_list"][1, 0], (0, 0), column([301])), "1--Two/b_1 names row 301"),
        ("easy", lambda v: put(v["gt_list"][0, 0], (1, 0), column([1])), "0--One/a_2 names row 1, which"),
        ("easy", lambda v: put(v["gt_list"][0, 0], (0, 0), column([0])), "0--One/a_1 names row 0, which"),
        (
            "hard",
            lambda v: put(v["gt_list"][1, 0], (0, 0), column([3, 2, 3])),
            "1--Two/b_1 names row 3 twice",
        ),
        (
            "easy",
            lambda v: put(v["gt_list"][1, 0], (0, 0), np.array([[1.5]])),
            "1--Two/b_1 names row 1.5, which",
        ),
        ("hard", lambda v: put(v["gt_list"], (1, 0), cells([])), "gt_list has 2 cells for 3 images"),
        ("hard", lambda v: put(v["gt_list"][1, 0], (0, 0), "no"), "1--Two/b_1 holds no numbers"),
    ],
)
def test_files_that_contradict_are_refused_by_name(
    file: str, change: Callable[[dict[str, Any]], object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as caught:
        read_wider_ground_truth(write_set(tmp_path, **{file: change}), official=False)
    assert f"wider_{file}_val.mat" in str(caught.value)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_missing_files_are_named_at_once(tmp_path: Path) -> None:
    write_set(tmp_path)
    (tmp_path / "wider_easy_val.mat").unlink()
    (tmp_path / "wider_hard_val.mat").unlink()
    with pytest.raises(InputError, match=r"wider_easy_val\.mat, wider_hard_val\.mat not found"):
        read_wider_ground_truth(tmp_path)
    with pytest.raises(InputError, match=r"wider_face_val\.mat, wider_easy_val\.mat"):
        read_wider_ground_truth(tmp_path / "nowhere")


@pytest.mark.parametrize("damage", [b"", b"not MATLAB at all", b"\x89HDF\r\n\x1a\n" + bytes(600)])
def test_a_damaged_file_is_refused_by_name(damage: bytes, tmp_path: Path) -> None:
    (write_set(tmp_path) / "wider_medium_val.mat").write_bytes(damage)
    with pytest.raises(InputError, match=r"wider_medium_val\.mat: cannot be read as a MATLAB v5 file"):
        read_wider_ground_truth(tmp_path, official=False)


def test_half_a_file_is_refused_by_name(tmp_path: Path) -> None:
    path = write_set(tmp_path) / "wider_hard_val.mat"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=r"wider_hard_val\.mat"):
        read_wider_ground_truth(tmp_path, official=False)


def test_a_cut_down_set_does_not_pass_for_the_official_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no invalid_label_list"):
        read_wider_ground_truth(write_set(tmp_path))
    flags = cells([cells([np.zeros((len(boxes), 1), np.uint8) for boxes in event]) for event in BOXES])
    write_set(tmp_path, face=lambda values: values.update(invalid_label_list=flags))
    with pytest.raises(InputError, match=r"wider_face_val\.mat: 2 events, the official set has 61"):
        read_wider_ground_truth(tmp_path)


@pytest.mark.reference
def test_the_official_files_hold_what_they_should(
    folder: Path, official: GroundTruth, golden: dict[str, Any]
) -> None:
    assert len(official.images) == golden["images"]
    assert len(official.boxes) == golden["annotated_boxes"]
    assert {name: int(kept.sum()) for name, kept in official.kept.items()} == golden["faces"]
    assert official.boxes.dtype == np.float64
    nothing = (official.boxes == 0).all(axis=1)
    assert nothing.sum() == 4
    flat = (official.boxes[:, 2:] <= 0).any(axis=1)
    assert [int((flat & official.kept[name]).sum()) for name in ("easy", "medium", "hard")] == [0, 0, 1]


@pytest.mark.reference
@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("medium", "13,318 kept faces, the official set has 13,319"),
        ("easy", "1 kept faces outside medium"),
        ("hard", "1 kept faces flagged invalid"),
    ],
)
def test_one_row_that_differs_from_the_official_files_is_found(
    file: str, message: str, folder: Path, tmp_path: Path
) -> None:
    for path in (folder / "ground_truth").glob("*.mat"):
        shutil.copyfile(path, tmp_path / path.name)
    path = tmp_path / f"wider_{file}_val.mat"
    values = {key: value for key, value in loadmat(str(path)).items() if not key.startswith("__")}
    rows, others = values["gt_list"], loadmat(str(tmp_path / "wider_medium_val.mat"))["gt_list"]
    for event in range(61):
        for image in range(len(rows[event, 0])):
            mine = rows[event, 0][image, 0].ravel()
            invalid = values["invalid_label_list"][event, 0][image, 0].ravel()
            count = len(invalid)
            if file == "medium":
                swap = mine[:-1] if len(mine) > 1 else None
            else:
                unwanted = (
                    set(range(1, count + 1)) - set(others[event, 0][image, 0].ravel().tolist())
                    if file == "easy"
                    else set((np.flatnonzero(invalid) + 1).tolist())
                )
                swap = np.array([*mine[1:], min(unwanted)]) if len(mine) and unwanted else None
            if swap is not None:
                rows[event, 0][image, 0] = swap.reshape(-1, 1)
                savemat(str(path), values)
                with pytest.raises(InputError, match=message):
                    read_wider_ground_truth(tmp_path)
                return
    pytest.fail("no image to change")
