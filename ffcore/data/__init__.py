"""Photos with labelled faces: read, augmented, mixed, kept decoded, put into batches.

Nothing here needs torch but `ffcore.data.dataset`, `ffcore.data.collate` and `ffcore.data.preview`, which are
imported by those names.
"""

from __future__ import annotations

from ffcore.data.annotations import AnnotatedImage, LabelledFaces
from ffcore.data.augment import (
    PUBLISHED_SCALES,
    WIDE_SCALES,
    AugmentConfig,
    Interpolation,
    augment,
)
from ffcore.data.batches import BatchPlan, SampleKey
from ffcore.data.cache import CachedPhoto, PhotoCache, build_cache, open_cache
from ffcore.data.coco import read_coco
from ffcore.data.collector import Annotations, Check
from ffcore.data.colour import ColourConfig
from ffcore.data.mixing import MixConfig, cutmix, mixup, mosaic
from ffcore.data.reading import Format, read_annotations
from ffcore.data.report import DataReport, Defect, DefectKind, NoteKind
from ffcore.data.retinaface import read_retinaface
from ffcore.data.sample import Sample, read_sample
from ffcore.data.unlabelled import read_unlabelled
from ffcore.data.widerface import read_widerface
from ffcore.data.yolo import read_yolo

__all__ = [
    "PUBLISHED_SCALES",
    "WIDE_SCALES",
    "AnnotatedImage",
    "Annotations",
    "AugmentConfig",
    "BatchPlan",
    "CachedPhoto",
    "Check",
    "ColourConfig",
    "DataReport",
    "Defect",
    "DefectKind",
    "Format",
    "Interpolation",
    "LabelledFaces",
    "MixConfig",
    "NoteKind",
    "PhotoCache",
    "Sample",
    "SampleKey",
    "augment",
    "build_cache",
    "cutmix",
    "mixup",
    "mosaic",
    "open_cache",
    "read_annotations",
    "read_coco",
    "read_retinaface",
    "read_sample",
    "read_unlabelled",
    "read_widerface",
    "read_yolo",
]
