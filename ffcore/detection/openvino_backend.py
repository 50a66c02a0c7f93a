"""Networks in ONNX files, run by OpenVINO where it is installed."""

from __future__ import annotations

from pathlib import Path

from ffcore.detection.graph_backend import GraphBackend
from ffcore.detection.openvino_session import OpenVinoSession


class OpenVinoBackend(GraphBackend):
    """A detector in an ONNX file, run by OpenVINO.

    Args:
        path: The file.
        device: As for `OpenVinoSession`, likewise below.
        threads: Of one run.

    Raises:
        CheckpointError: The file cannot be read, or is no such detector.
        MissingDependencyError: The device is not there.
        ConfigError: The number of threads makes no sense.
    """

    def __init__(self, path: str | Path, *, device: str = "auto", threads: int | None = None) -> None:
        super().__init__(OpenVinoSession(Path(path), device=device, threads=threads), path)
