"""The network of any ONNX file in a benchmark: its forward pass, and nothing around it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from ffcore.benchmark.candidate import Sample
from ffcore.benchmark.options import BenchmarkOptions
from ffcore.detection.loading import open_session
from ffcore.errors import CheckpointError, one_line
from ffcore.geometry.resize import ResizePolicy
from ffcore.images import read_image

_TYPES = ("float32", "float16", "float64", "uint8")
_CHANNELS = (1, 3)


@dataclass(frozen=True)
class InputLayout:
    """How a network wants its images.

    Args:
        shape: Of the input.
        channels_axis: Which dimension are the channels.
        batch: Images in it.
        size: Height and width, pixels.
    """

    shape: tuple[int, ...]
    channels_axis: int
    batch: int
    size: tuple[int, int]


class NetworkCandidate:
    """Somebody else's network.

    It gets the photo's pixels, as they are where it takes whole numbers, otherwise in -1..1. Whether that is
    what it was trained on does not matter for its time.

    Args:
        path: An ONNX file with one input for images.
        options: How it is run; what the file fixes about its input stays.

    Raises:
        CheckpointError: It is no ONNX file, its input is not for images, or it does not run.
        ConfigError: The backend that was asked for runs no ONNX files.
        MissingDependencyError: The backend or the device is not there.
    """

    kind: Literal["network"] = "network"

    def __init__(self, path: Path, options: BenchmarkOptions) -> None:
        self.path = path
        if not path.is_file():
            raise CheckpointError(path, "there is no such file")
        # with the settings of the detector's own sessions, or the comparison would be unfair
        self._session = open_session(path, options.backend, device=options.device, threads=options.threads)
        self.backend, self.device = self._session.library, self._session.provider
        self.facts = dict(self._session.metadata)
        inputs = self._session.inputs
        if len(inputs) != 1:
            raise CheckpointError(path, f"has {len(inputs)} inputs; only networks with one can be timed")
        self._input = inputs[0]
        if self._input.type not in _TYPES:
            raise CheckpointError(
                path, f"its input {self._input.name} is {self._input.type}; {', '.join(_TYPES)} can be timed"
            )
        layout = input_layout(self._input.shape, batch=options.batch, size=options.size)
        if layout is None:
            raise CheckpointError(
                path,
                f"its input {self._input.name} {list(self._input.shape)} is not for images: (batch, 3, "
                "height, width), (batch, height, width, 3) and (height, width, 3) can be timed",
            )
        self._layout = layout
        self.batch, self.size = layout.batch, layout.size
        self._photo: Path | None = None
        self._pixels = np.zeros(layout.shape, self._input.type)
        self._try()

    def round(self, photo: Path) -> Sample:
        """One forward pass."""
        if photo != self._photo:
            self._pixels = self._filled(photo)
            self._photo = photo
        start = time.perf_counter()
        self.run()
        return Sample(time.perf_counter() - start)

    def run(self) -> None:
        """One forward pass."""
        self._session.run({self._input.name: self._pixels})

    def _try(self) -> None:
        try:
            self.run()
        except Exception as error:  # runtimes have no family of errors in common
            shape = "×".join(map(str, self._layout.shape))
            raise CheckpointError(
                self.path, f"does not run on an input of {shape}, try another size: {one_line(error)}"
            ) from error

    def _filled(self, photo: Path) -> NDArray[Any]:
        layout = self._layout
        image = ResizePolicy(size=layout.size).apply(read_image(photo)).image
        if layout.shape[layout.channels_axis] == 1:
            image = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)[..., None].astype(np.uint8)
        kind = self._pixels.dtype
        pixels = image if kind == np.uint8 else ((image - 127.5) / 128).astype(kind)
        if layout.channels_axis != len(layout.shape) - 1:
            pixels = pixels.transpose(2, 0, 1)
        return np.ascontiguousarray(np.broadcast_to(pixels, layout.shape))


def input_layout(
    shape: Sequence[int | str | None], *, batch: int, size: tuple[int, int]
) -> InputLayout | None:
    """The input that a file describes, with its open dimensions filled in.

    Args:
        shape: As the session tells it: a number where a dimension is fixed, otherwise a name or None.
        batch: For an open batch.
        size: For open height and width, pixels.

    Returns:
        None when it is not for images.
    """
    fixed = [length if isinstance(length, int) and length > 0 else None for length in shape]
    batched = len(fixed) == 4
    if len(fixed) not in (3, 4):
        return None
    first, last = len(fixed) - 3, len(fixed) - 1
    if fixed[first] in _CHANNELS:
        axis = first
    elif fixed[last] in _CHANNELS:
        axis = last
    elif fixed[first] is None:  # torch's exporter leaves everything open, and torch has the channels first
        axis = first
    else:
        return None
    sides = [i for i in range(first, last + 1) if i != axis]
    height, width = (fixed[i] or default for i, default in zip(sides, size, strict=True))
    channels = fixed[axis] or 3
    images = (fixed[0] or batch) if batched else 1
    filled = (channels, height, width) if axis == first else (height, width, channels)
    return InputLayout(
        shape=(images, *filled) if batched else filled,
        channels_axis=axis,
        batch=images,
        size=(height, width),
    )
