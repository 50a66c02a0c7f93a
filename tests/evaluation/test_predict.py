from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ffcore.detection import FaceDetector, RawOutputs
from ffcore.errors import InputError
from ffcore.evaluation.predict import begin_run, find_photos, predict
from ffcore.evaluation.protocols import protocol
from ffcore.events import Event, Failed
from ffcore.images import write_image
from tests.detection.toys import ToyBackend, photo


class KilledError(Exception):
    pass


class FailingBackend(ToyBackend):
    """Dies in the middle, as a killed process does."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after = after

    def run(self, batch: np.ndarray) -> RawOutputs:
        if len(self.batches) >= self.after:
            raise KilledError
        return super().run(batch)


@pytest.fixture
def photos(tmp_path: Path) -> dict[str, Path]:
    found = {}
    for i in range(9):
        image = f"{i % 2}--Event/{i}_photo"
        path = tmp_path / "photos" / f"{image}.png"
        write_image(path, photo(64, 64 + 32 * (i % 3), (8 * i % 56, 16, 8), (40, 40, 16)))
        found[image] = path
    return found


def detector(backend: ToyBackend | None = None) -> FaceDetector:
    options = protocol("original", multiple=32).options
    return FaceDetector(backend or ToyBackend(), options)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.txt")}


def test_every_photo_gets_its_file(photos: dict[str, Path], tmp_path: Path) -> None:
    run = predict(detector(), photos, tmp_path / "out")
    files = contents(tmp_path / "out")
    assert set(files) == {f"{image}.txt" for image in photos}
    name, count, *lines = files["0--Event/2_photo.txt"].decode().splitlines()
    assert name == "2_photo"
    assert int(count) == len(lines) > 0
    assert (run.images, run.predicted, run.failed) == (9, 9, {})
    assert 0 < run.busy <= 1


@pytest.mark.parametrize("after", [0, 1, 2])
def test_an_interrupted_run_goes_on_and_ends_like_an_undisturbed_one(
    after: int, photos: dict[str, Path], tmp_path: Path
) -> None:
    predict(detector(), photos, tmp_path / "whole")
    with pytest.raises(KilledError):
        predict(detector(FailingBackend(after)), photos, tmp_path / "out")
    before = len(contents(tmp_path / "out"))
    run = predict(detector(), photos, tmp_path / "out")
    assert run.predicted == 9 - before
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_broken_photo_is_named_and_has_no_file(photos: dict[str, Path], tmp_path: Path) -> None:
    photos["0--Event/4_photo"].write_bytes(b"no photo")
    events: list[Event] = []
    run = predict(detector(), photos, tmp_path / "out", on_event=events.append)
    assert list(run.failed) == ["0--Event/4_photo"]
    assert len(contents(tmp_path / "out")) == 8
    assert [event.name for event in events if isinstance(event, Failed)] == [str(photos["0--Event/4_photo"])]


def test_shares_of_several_processes_make_the_whole(photos: dict[str, Path], tmp_path: Path) -> None:
    predict(detector(), photos, tmp_path / "whole")
    for rank in range(2):
        predict(detector(), dict(list(photos.items())[rank::2]), tmp_path / "out")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_predictions_of_another_run_are_not_mixed_in(tmp_path: Path) -> None:
    begin_run(tmp_path, {"model": "a", "protocol": {"name": "original"}})
    begin_run(tmp_path, {"model": "a", "protocol": {"name": "original"}})
    with pytest.raises(InputError, match="another run"):
        begin_run(tmp_path, {"model": "b", "protocol": {"name": "original"}})


def test_files_of_unknown_origin_are_not_mixed_in(photos: dict[str, Path], tmp_path: Path) -> None:
    predict(detector(), photos, tmp_path / "out")
    with pytest.raises(InputError, match="unknown origin"):
        begin_run(tmp_path / "out", {"model": "a"})


def test_photos_are_found_whatever_their_suffix_and_below_images(
    photos: dict[str, Path], tmp_path: Path
) -> None:
    assert find_photos(tmp_path / "photos", list(photos)) == photos
    (tmp_path / "photos").rename(tmp_path / "images")
    assert list(find_photos(tmp_path, list(photos))) == list(photos)
    assert "0--Event/x" not in find_photos(tmp_path, [*photos, "0--Event/x"])


def test_a_folder_without_the_photos_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        find_photos(tmp_path / "nowhere", ["a/b"])
    with pytest.raises(InputError, match=r"holds none of the 1 images, such as a/b\.jpg"):
        find_photos(tmp_path, ["a/b"])
