"""Networks in ONNX files, run by ONNX Runtime; torch is not needed and not loaded."""

from __future__ import annotations

from pathlib import Path

from ffcore.detection.graph_backend import GraphBackend
from ffcore.detection.onnxruntime_session import OnnxRuntimeSession


class OnnxRuntimeBackend(GraphBackend):
    """A detector in an ONNX file, run by ONNX Runtime.

    Args:
        path: The file.
        device: As for `OnnxRuntimeSession`, likewise below.
        threads: Of one run.

    Raises:
        CheckpointError: The file cannot be read, or is no such detector.
        MissingDependencyError: The device is not in this ONNX Runtime, or does not start.
        ConfigError: The device or the number of threads makes no sense.
    """

    def __init__(self, path: str | Path, *, device: str = "auto", threads: int | None = None) -> None:
        super().__init__(OnnxRuntimeSession(Path(path), device=device, threads=threads), path)
