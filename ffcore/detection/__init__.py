"""Finding faces in images and videos."""

from __future__ import annotations

from ffcore.detection.backend import Backend, RawOutputs
from ffcore.detection.detector import Detection, FaceDetector
from ffcore.detection.facts import DetectorFacts
from ffcore.detection.options import DetectorOptions
from ffcore.detection.postprocess import postprocess

__all__ = [
    "Backend",
    "Detection",
    "DetectorFacts",
    "DetectorOptions",
    "FaceDetector",
    "RawOutputs",
    "postprocess",
]
