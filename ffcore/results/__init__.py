"""Detections as files and as the values of other libraries.

Each file format, JSON, JSON lines, CSV, COCO and the WIDER FACE layout, is a module of pure functions from
`ImageFaces`, and a writer that replaces its file whole. OpenCV and supervision have a module each that turns
`Faces` into their values and back; neither needs to be installed until one of its values is asked for.
"""

from __future__ import annotations

from ffcore.results.coco import coco_document, read_coco_results, write_coco
from ffcore.results.csv_table import CSV_HEADER, csv_rows, write_csv
from ffcore.results.image_faces import ImageFaces
from ffcore.results.json_record import json_record, write_json, write_json_lines
from ffcore.results.opencv import from_opencv, to_opencv
from ffcore.results.supervision import from_supervision, supervision_fields, to_supervision
from ffcore.results.widerface import widerface_path, widerface_text, write_widerface

__all__ = [
    "CSV_HEADER",
    "ImageFaces",
    "coco_document",
    "csv_rows",
    "from_opencv",
    "from_supervision",
    "json_record",
    "read_coco_results",
    "supervision_fields",
    "to_opencv",
    "to_supervision",
    "widerface_path",
    "widerface_text",
    "write_coco",
    "write_csv",
    "write_json",
    "write_json_lines",
    "write_widerface",
]
