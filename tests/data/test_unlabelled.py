from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from ffcore.data import AugmentConfig, LabelledFaces, MixConfig, Sample, mixup, mosaic, read_unlabelled
from ffcore.data.augment import augment
from ffcore.data.cache import build_cache
from ffcore.data.collate import collate
from ffcore.data.dataset import FaceDataset
from ffcore.errors import InputError
from tests.data.drawn import SAME_COLOURS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "party").mkdir()
    rng = np.random.default_rng(0)
    for name in ("b.png", "a.png", "party/c.png"):
        cv2.imwrite(str(tmp_path / name), rng.integers(0, 256, (60, 90, 3), dtype=np.uint8))
    (tmp_path / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0 no photo")
    (tmp_path / "notes.txt").write_text("no photo either")
    return tmp_path


def test_a_folder_of_photos_is_read_as_images_without_labels(folder: Path) -> None:
    found = read_unlabelled(folder)
    assert [image.name for image in found.images] == ["a.png", "b.png", "party/c.png"]
    assert [image.event for image in found.images] == ["", "", "party"]
    assert not any(image.labelled or len(image.faces) for image in found.images)
    assert [str(defect).partition(":")[0] for defect in found.report.defects] == ["torn.jpg"]


def test_a_folder_without_photos_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=str(tmp_path)):
        read_unlabelled(tmp_path)
    with pytest.raises(InputError, match="is no folder"):
        read_unlabelled(tmp_path / "nothing")
    (tmp_path / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(InputError, match=r"no photo that can be read; torn\.jpg"):
        read_unlabelled(tmp_path)


def test_raw_and_heic_photos_are_defects_however_little_is_checked(folder: Path) -> None:
    cv2.imwrite(str(folder / "preview.tif"), np.zeros((60, 90, 3), np.uint8))
    (folder / "preview.tif").rename(folder / "DSC_1.dng")
    (folder / "IMG_1.HEIC").write_bytes(b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic")
    for check in ("none", "header", "pixels"):
        found = read_unlabelled(folder, check=check)
        assert not {"DSC_1.dng", "IMG_1.HEIC"} & {image.name for image in found.images}
        assert "looks like a raw photo" in str(found.report.defects[0])
        assert "IMG_1.HEIC" in str(found.report.defects[1])


def test_samples_of_unlabelled_photos_say_so_all_the_way_into_the_batch(folder: Path, tmp_path: Path) -> None:
    images = read_unlabelled(folder).images
    config = AugmentConfig(sizes=(64,))
    cache = build_cache([image.path for image in images], tmp_path / "cache")
    for dataset in (
        FaceDataset(images, config),
        FaceDataset(images, config, mix=MixConfig(mosaic=0.4, cutmix=0.3, mixup=0.3)),
        FaceDataset(images, config, cache=cache),
    ):
        batch = collate([dataset[i] for i in range(3)])
        assert batch.labelled is not None
        assert batch.labelled.tolist() == [False] * 3
        assert not batch.targets.is_face.any()


def sample(*, labelled: bool) -> Sample:
    image = np.zeros((64, 64, 3), np.uint8)
    boxes = [[8, 8, 40, 40]] if labelled else []
    return Sample(image, LabelledFaces.of(boxes), labelled=labelled)


def test_a_batch_of_labelled_samples_needs_no_mask_and_others_keep_theirs_on_every_device() -> None:
    assert collate([sample(labelled=True)]).labelled is None
    batch = collate([sample(labelled=True), sample(labelled=False)])
    assert batch.labelled is not None
    assert batch.labelled.tolist() == [True, False]
    moved = batch.to(torch.device("meta")).labelled
    assert moved is not None
    assert moved.device.type == "meta"


def test_a_mixture_is_labelled_when_all_of_its_parts_are() -> None:
    whole, none = sample(labelled=True), sample(labelled=False)
    assert mixup(whole, whole, share=0.5).labelled
    assert not mixup(whole, none, share=0.5).labelled
    assert not mosaic([whole, whole, none, whole], centre=(32, 32)).labelled


def test_a_photo_without_labels_is_cropped_anywhere_and_one_without_faces_is_shown_whole() -> None:
    rng = np.random.default_rng(0)
    photo = np.zeros((100, 100, 3), np.uint8)
    photo[:50] = 255
    config = AugmentConfig(sizes=(32,), crop_scales=(0.3,), colour=SAME_COLOURS)

    def means(*, labelled: bool) -> set[float]:
        whole = Sample(photo, LabelledFaces.of([]), labelled=labelled)
        return {float(augment(whole, config, size=32, rng=rng).image.mean()) for _ in range(20)}

    assert len(means(labelled=False)) > 3
    assert max(abs(mean - 127.5) for mean in means(labelled=True)) < 10
