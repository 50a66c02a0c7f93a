"""Labelled photos as augmented samples, each fixed by a seed, an epoch and a number."""

from __future__ import annotations

import signal
from collections.abc import Sequence

import cv2
import numpy as np
from torch.utils.data import Dataset

from ffcore.data.annotations import AnnotatedImage, LabelledFaces
from ffcore.data.augment import AugmentConfig, augment, view
from ffcore.data.batches import SampleKey
from ffcore.data.cache import PhotoCache
from ffcore.data.crop import whole_photo
from ffcore.data.mixing import MixConfig, cutmix, mixup, mosaic, random_centre, random_patch
from ffcore.data.sample import Sample, read_sample
from ffcore.errors import ConfigError, ImageError

_STAND_IN = (64, 64)
"""Height and width of what is shown for a photo that cannot be read."""


class FaceDataset(Dataset[Sample]):
    """Samples to train on or to validate with.

    Which crop, colours and partners a sample gets depends on the seed, its epoch and its number only: not on
    the worker that makes it, nor on what was made before. It can be pickled, so workers may be spawned.

    Args:
        images: Labelled photos, at least one.
        config: How samples are varied.
        mix: How often samples are mixed; by default never.
        seed: 0 or more.
        augmented: Whether samples are varied at all; else each is its whole photo in the upper left corner of
            the square, as validation wants it.
        cache: Decoded photos of the same images in the same order; None to decode files.

    Raises:
        ConfigError: There is no image, the cache is of others, or the seed is negative.
    """

    def __init__(
        self,
        images: Sequence[AnnotatedImage],
        config: AugmentConfig | None = None,
        *,
        mix: MixConfig | None = None,
        seed: int = 0,
        augmented: bool = True,
        cache: PhotoCache | None = None,
    ) -> None:
        if not images:
            raise ConfigError("a dataset needs at least one image")
        if cache is not None and len(cache) != len(images):
            raise ConfigError(f"the cache holds {len(cache)} photos, but there are {len(images)} images")
        if seed < 0:
            raise ConfigError(f"seed = {seed}: 0 or more is needed")
        self.images = tuple(images)
        self.config = config or AugmentConfig()
        self.mix = mix or MixConfig()
        self.seed = seed
        self.augmented = augmented
        self.cache = cache

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, key: SampleKey | int) -> Sample:
        """One sample.

        A photo that cannot be read is a gray one of which nothing is known: whoever trains is told by
        `Sample.unread` and goes on, as one damaged file of thousands is no reason to end.

        Args:
            key: What it depends on, as `BatchPlan` gives it; a mere number stands for that image in epoch 0
                at the first size.
        """
        if not isinstance(key, SampleKey):
            index = range(len(self.images))[key]  # -1 and beyond the end as in a list
            key = SampleKey(index, epoch=0, size=self.config.sizes[0])
        if not self.augmented:
            photo = self._photo_or_gray(key.index)
            return view(photo, whole_photo(*photo.image.shape[:2]), size=key.size)
        rng = np.random.default_rng([self.seed, key.epoch, key.index, key.repeat])
        first = self._varied(key.index, key.size, rng)
        return self._mixed(first, key.size, rng)

    def photo(self, index: int) -> Sample:
        """A whole photo with its faces, as it was labelled or as small as the cache keeps it.

        Raises:
            ImageError: It cannot be read.
        """
        image = self.images[index]
        if self.cache is None:
            return read_sample(image)
        cached = self.cache.read(index)
        faces = image.faces
        if (cached.scale_x, cached.scale_y) != (1, 1):
            faces = faces.moved(scale=(cached.scale_x, cached.scale_y), shift=(0, 0))
        return Sample(image=cached.image, faces=faces, names=(image.name,), labelled=image.labelled)

    def _varied(self, index: int, size: int, rng: np.random.Generator) -> Sample:
        return augment(self._photo_or_gray(index), self.config, size=size, rng=rng)

    def _photo_or_gray(self, index: int) -> Sample:
        try:
            return self.photo(index)
        except ImageError as error:
            name = self.images[index].name
            gray = np.full((*_STAND_IN, 3), 128, np.uint8)
            unread = ((name, error.reason),)
            return Sample(gray, LabelledFaces.of([]), names=(name,), labelled=False, unread=unread)

    def _mixed(self, first: Sample, size: int, rng: np.random.Generator) -> Sample:
        mix = self.mix
        draw = float(rng.random())

        def partner() -> Sample:
            return self._varied(int(rng.integers(len(self.images))), size, rng)

        if draw < mix.mosaic:
            quarters = [first, partner(), partner(), partner()]
            order = rng.permutation(4)  # the sample itself may be any quarter
            return mosaic([quarters[i] for i in order], centre=random_centre(size, rng=rng))
        if draw < mix.mosaic + mix.cutmix:
            other = partner()
            return cutmix(first, other, patch=random_patch(size, alpha=mix.cutmix_alpha, rng=rng))
        if draw < mix.mosaic + mix.cutmix + mix.mixup:
            other = partner()
            return mixup(first, other, share=float(rng.beta(mix.mixup_alpha, mix.mixup_alpha)))
        return first


def start_worker(_: int) -> None:
    """What each worker of a loader should run first (``worker_init_fn``).

    OpenCV gets one thread, and Ctrl-C is left to the process that the worker belongs to, which ends it. Where
    workers are forked, call ``cv2.setNumThreads(1)`` before the loader is iterated.
    """
    # By default every worker would start as many threads as there are cores. In a forked one, OpenCV would
    # wait for ever for the threads of the process it comes from; that process must have seen to it itself.
    if cv2.getNumThreads() != 1:
        cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
