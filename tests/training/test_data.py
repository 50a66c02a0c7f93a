from __future__ import annotations

from pathlib import Path

import pytest

from ffcore.errors import ConfigError, InputError
from ffcore.images import read_image
from ffcore.images.encode import encode_image
from ffcore.training.data import read_data
from tests.training.toy_data import toy_config, write_photos


def test_photos_that_are_held_back_are_not_learnt_from_without_labels_either(tmp_path: Path) -> None:
    folder = write_photos(tmp_path / "data")
    config = toy_config(folder, data__unlabelled=[str(folder / "images")])
    data = read_data(config.data, seed=0)
    held = {image.path.resolve() for image in data.validation}
    assert len(held) == 2
    assert held.isdisjoint(image.path.resolve() for image in data.train)
    assert sum(not image.labelled for image in data.train) == 6


@pytest.mark.parametrize("pixels", [False, True])
def test_defects_of_all_that_is_read_are_told(tmp_path: Path, pixels: bool) -> None:
    folder, held = write_photos(tmp_path / "data"), write_photos(tmp_path / "held", seed=1)
    more = write_photos(tmp_path / "more", seed=2) / "images"
    (held / "images" / "event" / "3.png").unlink()
    (more / "event" / "4.png").write_bytes(b"nothing")
    cut_short = encode_image(read_image(more / "event" / "5.png"), suffix=".jpg")
    (more / "event" / "cut.jpg").write_bytes(cut_short[: len(cut_short) // 2])  # its header is whole
    config = toy_config(folder, data__validation=str(held), data__unlabelled=[str(more)])
    data = read_data(config.data, seed=0, check=pixels)
    assert len(data.validation) == 7
    kinds = [defect.kind for defect in data.report.defects]
    assert kinds == ["missing_image"] + ["corrupt_image"] * (1 + pixels)
    for part in ("validation", "unlabelled"):
        other = [str(more)] if part == "unlabelled" else str(held)
        strict = toy_config(folder, data__strict=True, **{f"data__{part}": other})
        with pytest.raises(InputError, match="Mend the data"):
            read_data(strict.data, seed=0)


def test_a_defect_of_labels_that_are_read_twice_counts_once(tmp_path: Path) -> None:
    folder = write_photos(tmp_path / "data")
    with (folder / "label.txt").open("a", encoding="utf-8") as labels:
        labels.write("1 2 three 4\n")
    (tmp_path / "held.txt").write_text("event/7.png\n", encoding="utf-8")
    config = toy_config(folder, data__validation_names=str(tmp_path / "held.txt"))
    assert len(read_data(config.data, seed=0).report.defects) == 1


def test_something_must_be_left_to_learn_from(tmp_path: Path) -> None:
    config = toy_config(write_photos(tmp_path / "data", 3), data__holdout=0.9)
    with pytest.raises(ConfigError, match="all photos are held back"):
        read_data(config.data, seed=0)
