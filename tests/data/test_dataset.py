from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from ffcore.data import (
    AnnotatedImage,
    AugmentConfig,
    BatchPlan,
    LabelledFaces,
    MixConfig,
    Sample,
    SampleKey,
    build_cache,
)
from ffcore.data.collate import Batch, collate
from ffcore.data.dataset import FaceDataset, start_worker
from ffcore.errors import ConfigError, ImageError
from ffcore.images import write_image
from ffcore.losses import AnchorGrid, match_anchors
from tests.data.drawn import squares

CONFIG = AugmentConfig(sizes=(64,))


@pytest.fixture
def images(tmp_path: Path) -> list[AnnotatedImage]:
    found = []
    for number in range(6):
        sample = squares(np.random.default_rng(number))
        path = tmp_path / f"{number}.png"
        write_image(path, sample.image)
        found.append(AnnotatedImage(f"e{number % 2}/{number}.png", path, sample.faces))
    return found


def equal(first: Sample, second: Sample) -> bool:
    return np.array_equal(first.image, second.image) and np.array_equal(first.faces.boxes, second.faces.boxes)


def same_batches(first: Batch, second: Batch) -> bool:
    tensors = ((b.images, b.targets.boxes, b.targets.landmarks, b.weights) for b in (first, second))
    return first.names == second.names and all(map(torch.equal, *tensors))


def test_a_sample_depends_on_its_key_and_the_seed_only(images: list[AnnotatedImage]) -> None:
    data, again = FaceDataset(images, CONFIG, seed=3), FaceDataset(images, CONFIG, seed=3)
    key = SampleKey(2, epoch=1, size=64)
    again[SampleKey(5, epoch=0, size=64)]  # what was made before does not matter
    assert equal(data[key], again[key])
    others = [SampleKey(2, 2, 64), SampleKey(3, 1, 64), SampleKey(2, 1, 64, repeat=1)]
    assert not any(equal(data[key], data[other]) for other in others)
    assert not equal(data[key], FaceDataset(images, CONFIG, seed=4)[key])


def test_a_number_stands_for_the_first_epoch_and_size(images: list[AnnotatedImage]) -> None:
    data = FaceDataset(images, CONFIG)
    assert equal(data[-1], data[SampleKey(5, 0, 64)])
    assert data[0].names == ("e0/0.png",)
    assert len(data) == len(list(data)) == 6


def test_without_augmentation_the_whole_photo_is_seen(images: list[AnnotatedImage]) -> None:
    data = FaceDataset(images, CONFIG, augmented=False)
    scale = 64 / max(data.photo(1).image.shape)
    np.testing.assert_allclose(data[1].faces.boxes, images[1].faces.boxes * scale, atol=0.5)
    assert equal(data[1], data[SampleKey(1, epoch=9, size=64)])


def test_a_cache_changes_nothing_unless_it_shrinks(images: list[AnnotatedImage], tmp_path: Path) -> None:
    paths = [image.path for image in images]
    plain = FaceDataset(images, CONFIG)
    cached = FaceDataset(images, CONFIG, cache=build_cache(paths, tmp_path / "cache"))
    assert all(equal(plain[i], cached[i]) for i in range(6))
    small = FaceDataset(
        images, CONFIG, augmented=False, cache=build_cache(paths, tmp_path / "small", max_side=100)
    )
    whole = FaceDataset(images, CONFIG, augmented=False)
    for i in range(6):
        assert max(small.photo(i).image.shape) == 100
        np.testing.assert_allclose(small[i].faces.boxes, whole[i].faces.boxes, atol=1.0)


@pytest.mark.parametrize("kind", ["mosaic", "cutmix", "mixup"])
def test_mixing_shows_several_photos_and_repeats_exactly(images: list[AnnotatedImage], kind: str) -> None:
    data = FaceDataset(images, CONFIG, mix=MixConfig(**{kind: 1.0}))
    samples = [data[i] for i in range(6)]
    assert {len(sample.names) for sample in samples} == {4 if kind == "mosaic" else 2}
    assert all(equal(sample, data[i]) for i, sample in enumerate(samples))
    weights = np.concatenate([sample.faces.weights for sample in samples])
    assert (weights < 1).any() == (kind == "mixup")


def test_a_broken_photo_is_named_and_says_nothing_about_faces_or_background(
    images: list[AnnotatedImage],
) -> None:
    images[0].path.write_bytes(b"")
    for data in (
        FaceDataset(images, CONFIG),
        FaceDataset(images, CONFIG, mix=MixConfig(mosaic=1.0)),
        FaceDataset(images, CONFIG, augmented=False),
    ):
        sample = data[0]
        assert "e0/0.png" in sample.names
        assert [name for name, _ in sample.unread if name == "e0/0.png"]
        assert not sample.labelled
        batch = collate([sample, data[1]])
        assert batch.to("cpu").unread == sample.unread + data[1].unread
    with pytest.raises(ImageError, match=r"0\.png"):
        FaceDataset(images, CONFIG).photo(0)


def test_impossible_datasets_are_refused(images: list[AnnotatedImage], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least one"):
        FaceDataset([])
    with pytest.raises(ConfigError, match="seed"):
        FaceDataset(images, seed=-1)
    with pytest.raises(ConfigError, match="cache"):
        FaceDataset(images, cache=build_cache([images[0].path], tmp_path / "cache"))


def test_two_spawned_workers_make_the_same_batches_as_none(
    images: list[AnnotatedImage], tmp_path: Path
) -> None:
    cache = build_cache([image.path for image in images], tmp_path / "cache")
    data = FaceDataset(images, CONFIG, mix=MixConfig(mixup=0.5), cache=cache)
    data[0]  # so that something is mapped when the dataset is handed over
    plan = BatchPlan([image.event for image in images], batch_size=2, sizes=(64, 96), evenness=1.0)
    workers = DataLoader(
        data,
        batch_sampler=plan,  # type: ignore[arg-type]
        collate_fn=collate,
        num_workers=2,
        multiprocessing_context="spawn",
        worker_init_fn=start_worker,
        persistent_workers=True,
    )
    for epoch in range(2):
        plan.set_epoch(epoch)
        there = list(workers)
        here = [collate([data[key] for key in keys]) for keys in plan]
        assert len(there) == len(here) == 3
        assert all(map(same_batches, there, here))
    del workers


def test_a_dataset_can_be_pickled(images: list[AnnotatedImage]) -> None:
    data = FaceDataset(images, CONFIG)
    assert equal(pickle.loads(pickle.dumps(data))[3], data[3])  # noqa: S301


def sample_of(size: int, boxes: list[list[float]], **more: object) -> Sample:
    return Sample(np.zeros((size, size, 3), np.uint8), LabelledFaces.of(boxes, **more), names=("n",))


def test_a_batch_pads_faces_and_keeps_ignored_ones_apart() -> None:
    points = np.arange(20, dtype=np.float32).reshape(2, 5, 2)
    one = sample_of(100, [[0, 0, 50, 100], [10, 10, 20, 20]], landmarks=points, has_landmarks=[True, False])
    two = sample_of(100, [[10, 20, 30, 40]], ignore=[True])
    batch = collate([one, two, sample_of(100, [[0, 0, 10, 10]])])
    assert batch.images.shape == (3, 3, 100, 100)
    assert batch.images.dtype == torch.uint8
    assert batch.targets.is_face.tolist() == [[True, True], [False, False], [True, False]]
    assert batch.targets.has_landmarks.tolist() == [[True, False], [False, False], [False, False]]
    torch.testing.assert_close(batch.targets.boxes[0, 0], torch.tensor([0, 0, 0.5, 1.0]))
    torch.testing.assert_close(batch.targets.landmarks[0, 0], torch.arange(10) / 100)
    assert (batch.targets.landmarks[0, 1] == 0).all()
    assert batch.weights.tolist() == [[1, 1], [0, 0], [1, 0]]
    assert batch.is_ignored.tolist() == [[False], [True], [False]]
    torch.testing.assert_close(batch.ignored[1, 0], torch.tensor([0.1, 0.2, 0.3, 0.4]))
    assert batch.names == (("n",),) * 3


def test_a_batch_holds_the_pixels_of_its_samples() -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    batch = collate([Sample(image, LabelledFaces.of([]))])
    np.testing.assert_array_equal(batch.images[0].numpy().transpose(1, 2, 0), image)
    assert batch.images.is_contiguous(memory_format=torch.channels_last)


def test_a_batch_without_any_face_can_be_matched() -> None:
    batch = collate([sample_of(64, []), sample_of(64, [])])
    matches = match_anchors(batch.targets, AnchorGrid.of(64, 64))
    assert not matches.positive.any()


def test_samples_of_two_sizes_make_no_batch() -> None:
    with pytest.raises(ConfigError, match="one size"):
        collate([sample_of(64, []), sample_of(96, [])])
    with pytest.raises(ConfigError, match="no sample"):
        collate([])


def test_reading_and_augmenting_load_without_torch() -> None:
    code = "import sys; sys.modules['torch'] = None; import ffcore.data"
    subprocess.run([sys.executable, "-c", code], check=True)
