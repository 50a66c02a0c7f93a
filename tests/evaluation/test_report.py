from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ffcore.errors import ConfigError, InputError
from ffcore.evaluation.any_ground_truth import read_ground_truth
from ffcore.evaluation.job import Evaluation, score_folder, write_evaluation
from ffcore.evaluation.report import MISSED, write_report
from ffcore.evaluation.result import read_result
from ffcore.images import read_image, write_image
from tests.evaluation.mat_files import write_ground_truth


@pytest.fixture
def evaluation(tmp_path: Path) -> Evaluation:
    """Two images: the face of the first is found, that of the second missed."""
    write_ground_truth(tmp_path / "gt", {"0--Event": {"a": [(8, 8, 15, 15)], "b": [(30, 20, 25, 25)]}})
    for name, box in (("a", "8 8 15 15 0.9"), ("b", "0 0 9 9 0.6")):
        path = tmp_path / "pred" / "0--Event" / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{name}\n1\n{box}\n", encoding="utf-8")
        write_image(tmp_path / "photos" / "0--Event" / f"{name}.png", np.full((64, 96, 3), 128, np.uint8))
    truth = read_ground_truth(tmp_path / "gt", official=False)
    return score_folder(tmp_path / "pred", truth)


def test_a_report_holds_curves_bars_and_the_worst_images(evaluation: Evaluation, tmp_path: Path) -> None:
    files = write_report(tmp_path / "report", evaluation, data=tmp_path / "photos")
    assert {file.name for file in files} == {
        "precision_recall_easy.png",
        "precision_recall_medium.png",
        "precision_recall_hard.png",
        "ap_by_height.png",
        "ap_by_event.png",
        "worst.html",
    }
    assert all(read_image(file).std() > 5 for file in files if file.suffix == ".png")
    page = (tmp_path / "report" / "worst.html").read_text(encoding="utf-8")
    assert "0--Event/b: 1 missed, 1 false" in page
    assert "0--Event/a" not in page
    picture = read_image(tmp_path / "report" / "worst" / "01.jpg").astype(int)
    assert np.abs(picture[20, 35:50] - MISSED).mean() < 60  # the upper side of the missed face is red
    assert np.abs(picture[5, 70:90] - 128).max() < 10  # where nothing is, nothing is drawn


def test_without_photos_there_is_no_page_of_them(evaluation: Evaluation, tmp_path: Path) -> None:
    files = write_report(tmp_path / "report", evaluation)
    assert "worst.html" not in {file.name for file in files}


def test_a_stored_result_can_be_drawn_over_another(evaluation: Evaluation, tmp_path: Path) -> None:
    write_evaluation(tmp_path / "stored.json", evaluation)
    stored = read_result(tmp_path / "stored.json")
    alone = write_report(tmp_path / "one", evaluation, label="new")[0]
    both = write_report(tmp_path / "two", evaluation, label="new", others={"old": stored})[0]
    assert read_image(alone).tobytes() != read_image(both).tobytes()
    with pytest.raises(ConfigError, match="two results are called 'old'"):
        write_report(tmp_path / "three", evaluation, label="old", others={"old": stored})


def test_ground_truth_is_recognised_by_what_lies_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        read_ground_truth(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"wider_face_val\.mat"):
        read_ground_truth(tmp_path)
    (tmp_path / "coco.json").write_text(
        '{"images": [{"id": 1, "file_name": "e/a.jpg"}], "categories": [{"id": 1, "name": "face"}],'
        '"annotations": [{"image_id": 1, "category_id": 1, "bbox": [1, 2, 30, 40]}]}',
        encoding="utf-8",
    )
    assert read_ground_truth(tmp_path / "coco.json").images == ("e/a",)
    labels = tmp_path / "labels"
    labels.mkdir()
    (labels / "a.txt").write_text("0 0.5 0.5 0.5 0.5\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="relative to the photos"):
        read_ground_truth(labels)
    write_image(tmp_path / "images" / "a.png", np.zeros((80, 80, 3), np.uint8))
    assert read_ground_truth(labels, data=tmp_path / "images").boxes.tolist() == [[20, 20, 40, 40]]
