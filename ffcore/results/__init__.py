"""Detections as files: JSON, JSON lines, CSV, COCO and the WIDER FACE layout.

Each format is a module of pure functions from `ImageFaces`, and a writer that replaces its file whole.
"""

from __future__ import annotations

from ffcore.results.coco import coco_document, write_coco
from ffcore.results.csv_table import CSV_HEADER, csv_rows, write_csv
from ffcore.results.image_faces import ImageFaces
from ffcore.results.json_record import json_record, write_json, write_json_lines
from ffcore.results.widerface import widerface_path, widerface_text, write_widerface

__all__ = [
    "CSV_HEADER",
    "ImageFaces",
    "coco_document",
    "csv_rows",
    "json_record",
    "widerface_path",
    "widerface_text",
    "write_coco",
    "write_csv",
    "write_json",
    "write_json_lines",
    "write_widerface",
]
