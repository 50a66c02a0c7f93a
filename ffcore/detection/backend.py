"""What runs a network for the detector, whatever the library behind it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ffcore.detection.facts import DetectorFacts

AroundNetwork: TypeAlias = Callable[[], AbstractContextManager[object]]
"""Backends that can be measured have an attribute ``around_network`` of this kind, `contextlib.nullcontext`
unless somebody puts something else there: what it gives is entered for every forward pass, and for nothing
else of a run."""


@dataclass(frozen=True, eq=False)
class RawOutputs:
    """What a network says about a batch, as offsets from the anchors.

    Args:
        boxes: (B, A, 4) float32, see `ffcore.geometry.decode_boxes`.
        scores: (B, A) float32, probability of a face, 0..1.
        landmarks: (B, A, 10) float32, see `ffcore.geometry.decode_landmarks`.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    landmarks: NDArray[np.float32]


class Backend(Protocol):
    """Runs one network; may be called from several threads at once."""

    @property
    def name(self) -> str:
        """The library: "onnxruntime" or "torch"."""

    @property
    def device(self) -> str:
        """What really computes: "cpu", "cuda:0", or the name of an execution provider."""

    @property
    def facts(self) -> DetectorFacts:
        """Preprocessing, anchors and recommended thresholds of the network."""

    @property
    def input_size(self) -> tuple[int, int] | None:
        """Height and width that the network insists on, or None when it takes any."""

    def run(self, batch: NDArray[np.uint8]) -> RawOutputs:
        """Run the network.

        Args:
            batch: (B, H, W, 3) uint8 BGR, any B.

        Returns:
            The raw outputs of the B images.

        Raises:
            ModelError: The network failed.
        """
