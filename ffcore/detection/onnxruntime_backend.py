"""Networks in ONNX files, run by ONNX Runtime; torch is not needed and not loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from ffcore import filetype
from ffcore.detection.backend import RawOutputs
from ffcore.detection.facts import DetectorFacts
from ffcore.errors import CheckpointError, ConfigError, MissingDependencyError, ModelError, did_you_mean
from ffcore.geometry.anchors import anchor_count

EXPECTED = (
    "expected one float input (batch, 3, height, width) and three outputs (batch, anchors, 4), "
    "(batch, anchors, 2) and (batch, anchors, 10)"
)
_PROBE_SIDE = 64  # of the input that a network of any size is tried with
_QUIET = 4  # only what ends the process; everything else comes as an exception
_NAMED_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


@dataclass(frozen=True)
class _Layout:
    """Names of the tensors and what is fixed about the input."""

    input: str
    boxes: str
    classes: str
    landmarks: str
    batch: int | None
    size: tuple[int, int] | None


class OnnxRuntimeBackend:
    """A detector in an ONNX file.

    The file is tried once on a small input when it is opened: its outputs must have as many rows as there
    are anchors, and its classes must be probabilities. Entries with the prefix ``featherface.``
    tell preprocessing and anchors; a file without them is taken to be like the published networks.

    Args:
        path: The file.
        device: "auto" takes CUDA where this ONNX Runtime has it; "cpu", "cuda", or the name of an
            execution provider.
        threads: Of one run inside ONNX Runtime; None leaves the choice to it.

    Raises:
        CheckpointError: The file cannot be read, or is no such detector.
        MissingDependencyError: The device is not in this ONNX Runtime, or does not start.
        ConfigError: The device or the number of threads makes no sense.
    """

    name = "onnxruntime"

    def __init__(self, path: str | Path, *, device: str = "auto", threads: int | None = None) -> None:
        if threads is not None and threads < 1:
            raise ConfigError(f"the number of threads must be at least 1, got {threads}")
        providers = _providers(device)
        self._path = Path(path)
        self._session = _open(self._path, providers, threads)
        used = self._session.get_providers()[0]
        if device != "auto" and used != providers[0]:
            raise MissingDependencyError(
                f"{providers[0]} is installed but does not start; ONNX Runtime fell back to {used}. "
                "Check its libraries, or use device cpu"
            )
        self._device = next((short for short, name in _NAMED_PROVIDERS.items() if name == used), used)
        try:
            self._facts = DetectorFacts.from_metadata(self._session.get_modelmeta().custom_metadata_map)
            self._layout = _layout(self._session, self._path)
        except ConfigError as error:
            raise CheckpointError(path, str(error)) from None
        except UnicodeDecodeError:  # ONNX Runtime hands out names and entries unread
            raise CheckpointError(
                path, "is damaged: a name or an entry in it is no text; get the file again"
            ) from None
        self._probe()

    @property
    def device(self) -> str:
        """What really computes."""
        return self._device

    @property
    def facts(self) -> DetectorFacts:
        """What the file says about itself, or the published values."""
        return self._facts

    @property
    def input_size(self) -> tuple[int, int] | None:
        """Height and width that the file insists on, or None."""
        return self._layout.size

    def run(self, batch: NDArray[np.uint8]) -> RawOutputs:
        """Run the network; see `ffcore.detection.backend.Backend.run`."""
        fixed = self._layout.batch
        if fixed is None or fixed == len(batch):
            return self._run(batch)
        parts = [self._run_filled(batch[i : i + fixed], fixed) for i in range(0, len(batch), fixed)]
        return RawOutputs(
            boxes=np.concatenate([part.boxes for part in parts]),
            scores=np.concatenate([part.scores for part in parts]),
            landmarks=np.concatenate([part.landmarks for part in parts]),
        )

    def _run_filled(self, batch: NDArray[np.uint8], size: int) -> RawOutputs:
        """Run a batch that may be smaller than what the file insists on."""
        missing = size - len(batch)
        if not missing:
            return self._run(batch)
        raw = self._run(np.concatenate((batch, np.zeros((missing, *batch.shape[1:]), np.uint8))))
        n = len(batch)
        return RawOutputs(boxes=raw.boxes[:n], scores=raw.scores[:n], landmarks=raw.landmarks[:n])

    def _run(self, batch: NDArray[np.uint8]) -> RawOutputs:
        try:
            boxes, classes, landmarks = self._outputs(batch)
        except Exception as error:  # ONNX Runtime's exceptions have no common base below this
            shape = " x ".join(map(str, batch.shape[:3]))
            raise ModelError(
                f"{self._path}: ONNX Runtime failed on {shape} pixels: {_line(error)}"
            ) from error
        return RawOutputs(boxes=boxes, scores=np.ascontiguousarray(classes[..., 1]), landmarks=landmarks)

    def _outputs(self, batch: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Boxes, classes and landmarks as the file gives them."""
        layout, options = self._layout, onnxruntime.RunOptions()
        options.log_severity_level = _QUIET
        outputs: list[NDArray[np.float32]] = self._session.run(
            [layout.boxes, layout.classes, layout.landmarks],
            {layout.input: _planes(batch, self._facts)},
            options,
        )
        return outputs

    def _probe(self) -> None:
        """Try the network once and compare what comes with what a detector gives."""
        height, width = self._layout.size or (_PROBE_SIDE, _PROBE_SIDE)
        rows = self._layout.batch or 1
        ramp = np.arange(rows * height * width * 3, dtype=np.uint32).reshape(rows, height, width, 3) * 7
        try:
            found = self._outputs((ramp % 256).astype(np.uint8))
        except Exception as error:  # as above
            raise CheckpointError(
                self._path, f"does not run on {height} x {width} pixels: {_line(error)}"
            ) from error
        count = anchor_count(height, width, self._facts.anchors)
        for output, last in zip(found, (4, 2, 10), strict=True):
            if output.shape != (rows, count, last):
                raise CheckpointError(
                    self._path,
                    f"is not a FeatherFace detector: an output has shape {output.shape} for an input of "
                    f"{height} x {width}, and {(rows, count, last)} was expected from its anchors",
                )
        classes = found[1].astype(np.float64)
        if not np.isfinite(classes).all() or classes.min() < 0 or np.abs(classes.sum(-1) - 1).max() > 1e-2:
            raise CheckpointError(
                self._path,
                "its class output is not a probability (pairs of 0..1 whose sum is 1); export with softmax",
            )


def _providers(device: str) -> list[str]:
    """The execution providers to ask for, the wanted one first."""
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
    """A session for the file."""
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        raise CheckpointError(path, f"cannot be read: {error.strerror}") from None
    kind = filetype.describe(head)
    if kind is not None and not filetype.is_onnx(head):
        raise CheckpointError(path, f"an ONNX file was expected, this is {kind}")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _QUIET
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
            path, f"ONNX Runtime cannot open it; it is damaged or no ONNX model: {_line(error)}"
        ) from error


def _layout(session: Any, path: Path) -> _Layout:
    """Find the input and the three outputs, whatever their names."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    found = (
        f"found inputs {', '.join(f'{i.name} {i.shape}' for i in inputs[:2])} and "
        f"{len(outputs)} outputs {', '.join(f'{o.name} {o.shape}' for o in outputs[:3])}"
    )
    wrong = CheckpointError(path, f"is not a FeatherFace detector: {found}; {EXPECTED}")
    if len(inputs) != 1 or len(outputs) != 3 or inputs[0].type != "tensor(float)":
        raise wrong
    shape = inputs[0].shape
    if len(shape) != 4 or (shape[1] not in (3, None) and not isinstance(shape[1], str)):
        raise wrong
    by_last: dict[int, str] = {}
    unknown: list[str] = []
    for output in outputs:
        if len(output.shape) != 3:
            raise wrong
        last = output.shape[2]
        if last in (4, 2, 10):
            by_last[last] = output.name
        elif isinstance(last, int):
            raise wrong
        else:
            unknown.append(output.name)
    # A dynamic export may leave the last dimension open; then our own names decide.
    for name in unknown:
        last = {"bbox_regressions": 4, "classifications": 2, "landmarks": 10}.get(name, 0)
        by_last[last] = name
    if set(by_last) != {4, 2, 10}:
        raise wrong
    height, width = (side if isinstance(side, int) else None for side in shape[2:])
    if (height is None) != (width is None):
        raise CheckpointError(path, f"its input {shape} fixes one side only; fix both or none")
    return _Layout(
        input=inputs[0].name,
        boxes=by_last[4],
        classes=by_last[2],
        landmarks=by_last[10],
        batch=shape[0] if isinstance(shape[0], int) else None,
        size=None if height is None or width is None else (height, width),
    )


def _planes(batch: NDArray[np.uint8], facts: DetectorFacts) -> NDArray[np.float32]:
    """The batch as the network wants it: float32, channel by channel, without the mean."""
    b, height, width, _ = batch.shape
    pixels = np.empty((b, 3, height, width), np.float32)
    order = (0, 1, 2) if facts.channel_order == "BGR" else (2, 1, 0)
    for plane, channel in enumerate(order):
        np.subtract(batch[..., channel], np.float32(facts.mean[plane]), out=pixels[:, plane])
    return pixels


def _line(error: BaseException) -> str:
    """An error of ONNX Runtime in one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:200]} ..."
