"""Photos with labelled faces: read, augmented, mixed, kept decoded, put into batches."""

from __future__ import annotations

from ffcore.data.annotations import AnnotatedImage, LabelledFaces
from ffcore.data.coco import read_coco
from ffcore.data.collector import Annotations, Check
from ffcore.data.reading import Format, read_annotations
from ffcore.data.report import DataReport, Defect, DefectKind, NoteKind
from ffcore.data.retinaface import read_retinaface
from ffcore.data.widerface import read_widerface
from ffcore.data.yolo import read_yolo

__all__ = [
    "AnnotatedImage",
    "Annotations",
    "Check",
    "DataReport",
    "Defect",
    "DefectKind",
    "Format",
    "LabelledFaces",
    "NoteKind",
    "read_annotations",
    "read_coco",
    "read_retinaface",
    "read_widerface",
    "read_yolo",
]
