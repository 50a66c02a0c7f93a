"""ONNX files opened by ONNX Runtime, with the settings that a detector needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnxruntime
from numpy.typing import NDArray

from ffcore.detection.graph_session import TensorInfo, require_onnx_file
from ffcore.errors import CheckpointError, ConfigError, MissingDependencyError, did_you_mean, one_line

_SILENT = 4  # only what ends the process is logged; everything else comes as an exception
_NAMED_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_NUMPY_NAMES = {"tensor(float)": "float32", "tensor(double)": "float64"}


class OnnxRuntimeSession:
    """A file in ONNX Runtime; see `ffcore.detection.graph_session.GraphSession`.

    Args:
        path: The file.
        device: "auto" takes CUDA where this ONNX Runtime has it; "cpu", "cuda", or the name of an
            execution provider.
        threads: Of one run; None leaves the choice to ONNX Runtime.

    Raises:
        CheckpointError: The file cannot be read, or is no ONNX model.
        MissingDependencyError: The device is not in this ONNX Runtime, or does not start.
        ConfigError: The device or the number of threads makes no sense.
    """

    library = "onnxruntime"

    def __init__(self, path: Path, *, device: str = "auto", threads: int | None = None) -> None:
        if threads is not None and threads < 1:
            raise ConfigError(f"the number of threads must be at least 1, got {threads}")
        providers = execution_providers(device)
        require_onnx_file(path)
        self._session = _open(path, providers, threads)
        self.provider: str = self._session.get_providers()[0]
        if device != "auto" and self.provider != providers[0]:
            raise MissingDependencyError(
                f"{providers[0]} is installed but does not start; ONNX Runtime fell back to {self.provider}. "
                "Check its libraries, or use device cpu"
            )
        short = {name: word for word, name in _NAMED_PROVIDERS.items()}
        self.device = short.get(self.provider, self.provider)
        try:
            self.inputs = _described(self._session.get_inputs())
            self.outputs = _described(self._session.get_outputs())
            self.metadata: Mapping[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        except UnicodeDecodeError:  # ONNX Runtime hands out names and entries unread
            raise CheckpointError(
                path, "is damaged: a name or an entry in it is no text; get the file again"
            ) from None

    def run(self, feeds: Mapping[str, NDArray[Any]], outputs: Sequence[str] = ()) -> list[NDArray[Any]]:
        """Runs the graph; see `GraphSession.run`."""
        options = onnxruntime.RunOptions()
        options.log_severity_level = _SILENT
        found: list[NDArray[Any]] = self._session.run(list(outputs) or None, feeds, options)
        return found


def execution_providers(device: str) -> list[str]:
    """The execution providers to ask for, the wanted one first.

    Args:
        device: As for `OnnxRuntimeSession`.

    Raises:
        MissingDependencyError: This ONNX Runtime does not have it.
        ConfigError: There is no such provider.
    """
    available = onnxruntime.get_available_providers()
    if device == "auto":
        device = "cuda" if _NAMED_PROVIDERS["cuda"] in available else "cpu"
    wanted = _NAMED_PROVIDERS.get(device, device)
    if wanted not in available:
        if wanted not in onnxruntime.get_all_providers():
            known = ["auto", *_NAMED_PROVIDERS, *available]
            raise ConfigError(f"{device!r} is no device of ONNX Runtime: {did_you_mean(device, known)}")
        hint = "; install onnxruntime-gpu in place of onnxruntime" if device == "cuda" else ""
        raise MissingDependencyError(f"this ONNX Runtime has no {wanted}, only {', '.join(available)}{hint}")
    return list(dict.fromkeys([wanted, _NAMED_PROVIDERS["cpu"]]))


def _open(path: Path, providers: Sequence[str], threads: int | None) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _SILENT
    options.intra_op_num_threads = threads or 0
    # Waiting threads would burn the cores that decode the next photo.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Photos come in many sizes: patterns of buffers would be kept for every one of them.
    options.enable_mem_pattern = False
    try:
        # Pad_Fusion turns a border of zeros before a max pool into one that the pool ignores, and
        # with it the results of the published networks (up to 0.5 in box offsets).
        return onnxruntime.InferenceSession(
            str(path), options, providers=list(providers), disabled_optimizers=["Pad_Fusion"]
        )
    except Exception as error:  # ONNX Runtime's exceptions have no common base below this
        raise CheckpointError(
            path, f"ONNX Runtime cannot open it; it is damaged or no ONNX model: {one_line(error)}"
        ) from error


def _described(tensors: Sequence[Any]) -> tuple[TensorInfo, ...]:
    return tuple(
        TensorInfo(
            each.name,
            tuple(each.shape),
            _NUMPY_NAMES.get(each.type, each.type.removeprefix("tensor(").removesuffix(")")),
        )
        for each in tensors
    )
