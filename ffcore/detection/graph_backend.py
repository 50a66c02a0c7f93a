"""A detector in an ONNX file, whatever runtime has opened it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ffcore.detection.backend import AroundNetwork, RawOutputs
from ffcore.detection.facts import PREFIX, DetectorFacts
from ffcore.detection.graph_session import GraphSession
from ffcore.errors import CheckpointError, ConfigError, ModelError, one_line
from ffcore.geometry.anchors import anchor_count

EXPECTED = (
    "expected one float input (batch, 3, height, width) and three outputs (batch, anchors, 4), "
    "(batch, anchors, 2) and (batch, anchors, 10)"
)
_PROBE_SIDE = 64  # of the input that a network of any size is tried with


@dataclass(frozen=True)
class _Layout:
    """Names of the tensors and what is fixed about the input."""

    input: str
    dtype: str
    boxes: str
    classes: str
    landmarks: str
    batch: int | None
    size: tuple[int, int] | None


class GraphBackend:
    """A detector in an ONNX file; see `ffcore.detection.backend.Backend`.

    The file is tried once on a small input when it is opened: its outputs must have as many rows as there
    are anchors, and its classes must be probabilities. Entries with the prefix ``featherface.``
    tell preprocessing and anchors; a file without them is taken to be like the published networks.

    Args:
        session: The file, opened.
        path: As the user knows it.

    Raises:
        CheckpointError: The file is no such detector.
    """

    around_network: AroundNetwork = nullcontext

    def __init__(self, session: GraphSession, path: str | Path) -> None:
        self._path = Path(path)
        self._session = session
        try:
            self._facts = DetectorFacts.from_metadata(session.metadata)
        except ConfigError as error:
            raise CheckpointError(path, str(error)) from None
        if session.metadata.get(f"{PREFIX}end_to_end") == "true":
            raise CheckpointError(
                path,
                "is an end-to-end export; detect wants one without --end-to-end. This one runs in "
                "onnxruntime as in docs/export.md, and benchmark takes it as --onnx",
            )
        self._layout = _layout(session, self._path)
        self._probe()

    @property
    def name(self) -> str:
        """The runtime."""
        return self._session.library

    @property
    def provider(self) -> str:
        """What really computes, in the runtime's own words."""
        return self._session.provider

    @property
    def metadata(self) -> Mapping[str, str]:
        """All entries of the file, ours with their prefix."""
        return self._session.metadata

    @property
    def fixed_batch(self) -> int | None:
        """The number of images that the file insists on, or None. `run` takes any, in parts."""
        return self._layout.batch

    @property
    def device(self) -> str:
        """What really computes."""
        return self._session.device

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
        except Exception as error:  # runtimes have no family of errors in common
            shape = " x ".join(map(str, batch.shape[:3]))
            raise ModelError(
                f"{self._path}: {self.name} failed on {shape} pixels: {one_line(error)}"
            ) from error
        return RawOutputs(boxes=boxes, scores=np.ascontiguousarray(classes[..., 1]), landmarks=landmarks)

    def _outputs(self, batch: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Boxes, classes and landmarks as the file gives them."""
        layout = self._layout
        feeds = {layout.input: _planes(batch, self._facts).astype(layout.dtype, copy=False)}
        with self.around_network():
            found = self._session.run(feeds, [layout.boxes, layout.classes, layout.landmarks])
        return [output.astype(np.float32, copy=False) for output in found]

    def _probe(self) -> None:
        """Try the network once and compare what comes with what a detector gives."""
        height, width = self._layout.size or (_PROBE_SIDE, _PROBE_SIDE)
        rows = self._layout.batch or 1
        ramp = np.arange(rows * height * width * 3, dtype=np.uint32).reshape(rows, height, width, 3) * 7
        try:
            found = self._outputs((ramp % 256).astype(np.uint8))
        except Exception as error:  # as above
            raise CheckpointError(
                self._path, f"does not run on {height} x {width} pixels: {one_line(error)}"
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


def _layout(session: GraphSession, path: Path) -> _Layout:
    """Find the input and the three outputs, whatever their names."""
    inputs, outputs = session.inputs, session.outputs
    found = (
        f"found inputs {', '.join(f'{i.name} {i.shape}' for i in inputs[:2])} and "
        f"{len(outputs)} outputs {', '.join(f'{o.name} {o.shape}' for o in outputs[:3])}"
    )
    wrong = CheckpointError(path, f"is not a FeatherFace detector: {found}; {EXPECTED}")
    if len(inputs) != 1 or len(outputs) != 3 or inputs[0].type not in ("float32", "float16"):
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
        dtype=inputs[0].type,
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
    for image, planes in zip(batch, pixels, strict=True):
        # apart first: numpy takes three times as long over every third byte
        channels = cv2.split(image)
        for plane, channel in enumerate(order):
            np.copyto(planes[plane], channels[channel])
            planes[plane] -= np.float32(facts.mean[plane])
    return pixels
