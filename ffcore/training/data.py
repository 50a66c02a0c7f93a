"""The photos of a run: what is learnt from, what is held back, and the loader between them and the steps."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import torch
from torch.utils.data import DataLoader

from ffcore.data.annotations import AnnotatedImage
from ffcore.data.batches import BatchPlan
from ffcore.data.cache import build_cache
from ffcore.data.collate import Batch, collate
from ffcore.data.collector import Check
from ffcore.data.dataset import FaceDataset, start_worker
from ffcore.data.reading import read_annotations
from ffcore.data.report import DataReport
from ffcore.data.unlabelled import read_unlabelled
from ffcore.distributed import Processes
from ffcore.errors import ConfigError
from ffcore.events import OnEvent, ignore
from ffcore.training.run_config import DataConfig, RunConfig

VALIDATION_BATCH = 8
"""Photos of one size that the loss is computed of at once when validating."""


@dataclass(frozen=True)
class RunData:
    """The labelled photos of a run.

    Args:
        train: To learn from.
        validation: Held back; often none.
        report: How the labels to learn from were read, with the defects of all that was read.
    """

    train: tuple[AnnotatedImage, ...]
    validation: tuple[AnnotatedImage, ...]
    report: DataReport


def read_data(config: DataConfig, *, seed: int, check: bool = False) -> RunData:
    """Reads the labels of a run and divides the photos.

    A file that is held back is never learnt from, whichever folder it is met in again.

    Args:
        config: Where they are.
        seed: Decides which photos are held back when a share of them is.
        check: Whether every photo is decoded, to find damaged ones.

    Raises:
        InputError: Nothing can be read, or some of the data has defects and `strict` is set.
        ConfigError: Nothing is named, or nothing is left to learn from.
    """
    if not config.path:
        raise ConfigError("no data is named: say where the labelled photos are (--data)")
    depth: Check = "pixels" if check else "header"
    found = read_annotations(
        config.path,
        config.format,
        images=config.images,
        names=config.names,
        check=depth,
        strict=config.strict,
    )
    defects = list(found.report.defects)
    if config.validation is not None or config.validation_names is not None:
        apart = read_annotations(
            config.validation or config.path,
            None if config.validation else config.format,
            images=config.validation_images if config.validation else config.images,
            names=config.validation_names,
            check=depth,
            strict=config.strict,
        )
        held = apart.images
        defects += apart.report.defects
    else:
        count = round(config.holdout * len(found.images))
        if config.holdout and not count and len(found.images) > 1:
            count = 1
        chosen = set(random.Random(seed).sample(range(len(found.images)), count))
        held = tuple(image for i, image in enumerate(found.images) if i in chosen)
    learnt = list(found.images)
    for folder in config.unlabelled:
        more = read_unlabelled(folder, check=depth)
        if config.strict:
            more.report.check()
        learnt += more.images
        defects += more.report.defects
    files = {image.path.resolve() for image in held}
    learnt = [image for image in learnt if image.path.resolve() not in files]
    if not any(image.labelled for image in learnt):
        raise ConfigError("all photos are held back for validation, none is left to learn from")
    # of labels that are read twice, once with each list of names, a defect counts once
    report = replace(found.report, defects=tuple(dict.fromkeys(defects)))
    return RunData(train=tuple(learnt), validation=held, report=report)


def training_batches(
    images: Sequence[AnnotatedImage],
    config: RunConfig,
    *,
    processes: Processes,
    pin: bool,
    on_event: OnEvent = ignore,
) -> tuple[BatchPlan, DataLoader[Any]]:
    """The plan of all epochs and a loader that follows it.

    Args:
        images: To learn from.
        config: Of the run.
        processes: Among which each batch is divided.
        pin: Whether batches are put where a GPU reads them by itself.
        on_event: Told about photos that are being decoded into the cache.

    Raises:
        ConfigError: There are fewer photos than a batch needs.
        InputError: The cache cannot be written.
    """
    data = config.data
    plan = BatchPlan(
        [image.event for image in images],
        batch_size=data.batch_size,
        sizes=config.augment.sizes,
        seed=config.seed,
        evenness=data.evenness,
        rank=processes.rank,
        world_size=processes.count,
    )
    cache = None
    if data.cache is not None:
        sources = [image.path for image in images]
        if processes.first:
            cache = build_cache(sources, data.cache, on_event=on_event)
        processes.gather(None)
        cache = cache or build_cache(sources, data.cache)  # finds what the first process made
    dataset = FaceDataset(images, config.augment, mix=config.mix, seed=config.seed, cache=cache)
    return plan, _loader(dataset, plan, workers=data.workers, pin=pin)


def validation_batches(images: Sequence[AnnotatedImage], config: RunConfig) -> DataLoader[Any]:
    """Batches of whole photos, each in the upper left corner of a square."""
    size = config.validation.size
    dataset = FaceDataset(images, replace(config.augment, sizes=(size,)), augmented=False)
    plan = BatchPlan(
        [image.event for image in images],
        batch_size=VALIDATION_BATCH,
        sizes=(size,),
        shuffle=False,
        drop_last=False,
    )
    return _loader(dataset, plan, workers=min(config.data.workers, 1), pin=False, keep=False)


def _loader(
    dataset: FaceDataset, plan: BatchPlan, *, workers: int, pin: bool, keep: bool = True
) -> DataLoader[Any]:
    cv2.setNumThreads(1)  # see `start_worker`
    return DataLoader[Batch](
        dataset,  # type: ignore[arg-type]  # samples go in, batches come out
        batch_sampler=plan,
        collate_fn=collate,
        num_workers=workers,
        worker_init_fn=start_worker,
        persistent_workers=keep and workers > 0,
        prefetch_factor=4 if workers else None,
        pin_memory=pin,
        # each look at a loader draws a seed for its workers; from torch's own generator, it would move what
        # a resumed training draws there
        generator=torch.Generator(),
    )
