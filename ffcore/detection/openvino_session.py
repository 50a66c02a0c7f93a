"""ONNX files opened by OpenVINO, an optional runtime for Intel and other processors."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ffcore.detection.graph_session import TensorInfo, require_onnx_file
from ffcore.errors import CheckpointError, ConfigError, MissingDependencyError, did_you_mean, one_line

try:
    import openvino
except ImportError as missing:
    raise MissingDependencyError(
        f'OpenVINO cannot be loaded ({one_line(missing)}): pip install "featherface[openvino]"'
    ) from missing


class OpenVinoSession:
    """A file in OpenVINO; see `ffcore.detection.graph_session.GraphSession`.

    It computes in float32 also on processors whose OpenVINO would choose bfloat16, so that its faces are
    those of the other runtimes.

    Args:
        path: The file.
        device: "auto" and "cpu" take the CPU; otherwise a device of OpenVINO by its name, "GPU".
        threads: Of one run on the CPU; None leaves the choice to OpenVINO.

    Raises:
        CheckpointError: The file cannot be read, or OpenVINO cannot run it.
        MissingDependencyError: The device is not there.
        ConfigError: The number of threads makes no sense.
    """

    library = "openvino"

    def __init__(self, path: Path, *, device: str = "auto", threads: int | None = None) -> None:
        if threads is not None and threads < 1:
            raise ConfigError(f"the number of threads must be at least 1, got {threads}")
        require_onnx_file(path)
        core = openvino.Core()
        self.provider = "CPU" if device == "auto" else device.upper()
        self.device = self.provider.lower()
        if self.provider not in core.available_devices:
            known = [name.lower() for name in core.available_devices]
            raise MissingDependencyError(f"OpenVINO has no device {device!r}: {did_you_mean(device, known)}")
        settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        if self.provider == "CPU":
            # Layers prepared for earlier sizes are kept, by default so many that memory grows with every new
            # size (557 MB after 1,000 of them, with v2); so many are those of one or two sizes.
            settings["CPU_RUNTIME_CACHE_CAPACITY"] = 200
            if threads is not None:
                settings["INFERENCE_NUM_THREADS"] = threads
        try:
            model = core.read_model(path)
            self._compiled = core.compile_model(model, self.provider, settings)
        except Exception as error:  # it raises RuntimeError for everything, a damaged file included
            raise CheckpointError(path, f"OpenVINO cannot run it: {one_line(error)}") from error
        self.inputs = tuple(map(_described, model.inputs))
        self.outputs = tuple(map(_described, model.outputs))
        self.metadata = _metadata(model)
        self._requests = threading.local()

    def run(self, feeds: Mapping[str, NDArray[Any]], outputs: Sequence[str] = ()) -> list[NDArray[Any]]:
        """Runs the graph; see `GraphSession.run`."""
        if not hasattr(self._requests, "mine"):
            # a request holds buffers and is not for two threads at once
            self._requests.mine = self._compiled.create_infer_request()
        # copies: the buffers behind the results are those of the next run too
        found = self._requests.mine.infer(dict(feeds), share_inputs=True, share_outputs=False)
        return [found[name] for name in outputs or [output.name for output in self.outputs]]


def _described(port: Any) -> TensorInfo:
    shape = tuple(side.get_length() if side.is_static else None for side in port.partial_shape)
    return TensorInfo(port.any_name, shape, port.element_type.to_dtype().name)


def _metadata(model: Any) -> dict[str, str]:
    """The entries of the ONNX file, which OpenVINO keeps under the name of its origin."""
    if not model.has_rt_info("framework"):
        return {}
    entries = model.get_rt_info("framework").value
    return {key: str(getattr(entry, "value", entry)) for key, entry in entries.items()}
