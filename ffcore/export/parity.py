"""Whether an exported network still computes what torch computes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ffcore.errors import ExportError, one_line
from ffcore.geometry.resize import MEAN_BGR

Array: TypeAlias = NDArray[np.float32]
Runner: TypeAlias = Callable[[Array], Sequence[Array]]
"""From (B, 3, H, W) images to boxes, probabilities and landmarks, as arrays."""

SIZES = ((64, 64), (320, 320), (97, 1023), (641, 477), (640, 640))
"""Heights and widths: small, usual, and odd in either direction."""

BATCHES = (1, 2, 3)


@dataclass(frozen=True)
class Tolerance:
    """By how much outputs may differ.

    Args:
        boxes: Raw box offsets, in units of the coder (0.1 of an anchor's side).
        classes: Probabilities, 0..1.
        landmarks: Raw landmark offsets, as boxes.
    """

    boxes: float
    classes: float
    landmarks: float


EXACT = Tolerance(boxes=5e-4, classes=2e-5, landmarks=5e-4)
"""For float32: five times what a sound export was measured to differ by, and a thousandth of what a
runtime's rewriting of the pooling does."""


@dataclass(frozen=True)
class Case:
    """Images to compare on; their content follows from the numbers.

    Args:
        batch: How many.
        height: Pixels.
        width: Pixels.
        seed: Other images for another seed.
    """

    batch: int
    height: int
    width: int
    seed: int = 0


@dataclass(frozen=True)
class Difference:
    """The largest differences of one case, in the units of `Tolerance`."""

    case: Case
    boxes: float
    classes: float
    landmarks: float

    def within(self, tolerance: Tolerance) -> bool:
        """Whether none is too large; one that is no number is."""
        return (
            self.boxes <= tolerance.boxes
            and self.classes <= tolerance.classes
            and self.landmarks <= tolerance.landmarks
        )


class ParityError(ExportError):
    """An export that does not compute what its source computes.

    Args:
        name: What was exported.
        tolerance: What was allowed.
        differences: All that was measured, the failing ones among them.
    """

    def __init__(self, name: str, tolerance: Tolerance, differences: Sequence[Difference]) -> None:
        self.tolerance, self.differences = tolerance, tuple(differences)
        failing = [found for found in differences if not found.within(tolerance)]
        worst = max(failing, key=lambda found: np.nan_to_num(found.boxes, nan=np.inf))
        case = worst.case
        super().__init__(
            f"{name}: differs from torch in {len(failing)} of {len(differences)} cases, at {case.batch} "
            f"image(s) of {case.height}×{case.width} by {worst.boxes:.1e} in boxes, {worst.classes:.1e} in "
            f"probabilities and {worst.landmarks:.1e} in landmarks ({tolerance.boxes:.0e}, "
            f"{tolerance.classes:.0e}, {tolerance.landmarks:.0e} allowed); nothing was written"
        )


def cases(size: tuple[int, int] | None = None) -> tuple[Case, ...]:
    """What an export is compared on: `SIZES` × `BATCHES`, or three single images of a fixed size."""
    if size is not None:
        return tuple(Case(1, *size, seed=seed) for seed in range(3))
    return tuple(Case(batch, *each) for each in SIZES for batch in BATCHES)


def pictures(case: Case) -> NDArray[np.uint8]:
    """Images of a case: like photos and pure noise in turns.

    The photo-like ones have smooth areas and edges, with contrast at every scale as photographs have it
    (noise whose octaves have equal strength, coloured, with discs in front).

    Returns:
        (B, H, W, 3) uint8 BGR.
    """
    generator = np.random.default_rng((case.seed, case.batch, case.height, case.width))
    found = np.empty((case.batch, case.height, case.width, 3), np.uint8)
    for i in range(case.batch):
        noisy = (i + case.seed) % 2 == 1
        found[i] = (
            generator.integers(0, 256, found.shape[1:], np.uint8)
            if noisy
            else _photo_like(generator, case.height, case.width)
        )
    return found


def _photo_like(generator: np.random.Generator, height: int, width: int) -> NDArray[np.uint8]:
    image = np.zeros((height, width, 3), np.float32)
    cell = max(height, width)
    while cell >= 1:
        coarse = generator.normal(0, 22, (-(-height // cell) + 1, -(-width // cell) + 1, 3))
        image += cv2.resize(coarse.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
        cell //= 2
    image += generator.uniform(90, 150, 3).astype(np.float32)
    for _ in range(6):
        radius = int(generator.integers(4, max(min(height, width) // 4, 6)))
        centre = (int(generator.integers(0, width)), int(generator.integers(0, height)))
        cv2.circle(image, centre, radius, generator.uniform(30, 230, 3).tolist(), thickness=-1)
    return image.clip(0, 255).astype(np.uint8)


def planes(batch: NDArray[np.uint8]) -> Array:
    """Images as the networks take them: (B, 3, H, W) float32, BGR minus the mean."""
    centred = batch.astype(np.float32) - np.array(MEAN_BGR, np.float32)
    return np.ascontiguousarray(centred.transpose(0, 3, 1, 2))


def measure(network: nn.Module, run: Runner, *, cases: Iterable[Case]) -> tuple[Difference, ...]:
    """Compares what was exported with the network in torch.

    Args:
        network: In evaluation mode; gives boxes, logits, landmarks.
        run: Runs what was exported.
        cases: On what.
    """
    found = []
    for case in cases:
        images = planes(pictures(case))
        with torch.inference_mode():
            boxes, logits, landmarks = network(torch.from_numpy(images))
        wanted = (boxes, logits.softmax(dim=-1), landmarks)
        largest = [
            float(np.abs(np.asarray(have, np.float64) - want.numpy()).max())
            if have.shape == tuple(want.shape)
            else float("inf")
            for have, want in zip(run(images), wanted, strict=True)
        ]
        found.append(Difference(case, *largest))
    return tuple(found)


def require_parity(
    network: nn.Module, run: Runner, *, cases: Iterable[Case], tolerance: Tolerance, name: str
) -> tuple[Difference, ...]:
    """Like `measure`, but refuses what differs too much.

    Args:
        network: As for `measure`.
        run: As for `measure`.
        cases: As for `measure`.
        tolerance: What is allowed.
        name: How the user knows the export.

    Raises:
        ParityError: One case differs by more; a difference that is no number counts as more.
        ExportError: It does not run.
    """
    try:
        found = measure(network, run, cases=cases)
    except Exception as error:  # runtimes have no family of errors in common
        raise ExportError(
            f"{name}: what was exported does not run ({one_line(error)}); nothing was written"
        ) from error
    if not all(each.within(tolerance) for each in found):
        raise ParityError(name, tolerance, found)
    return found


def onnx_runner(content: bytes) -> Runner:
    """Runs an ONNX file in ONNX Runtime as anyone would: on the CPU, everything else by default."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def run(images: Array) -> list[Array]:
        outputs: list[Array] = session.run(None, {session.get_inputs()[0].name: images})
        return outputs

    return run


def torch_runner(module: Callable[[torch.Tensor], Sequence[torch.Tensor]]) -> Runner:
    """Runs what torch loaded."""

    def run(images: Array) -> list[Array]:
        with torch.inference_mode():
            return [output.numpy() for output in module(torch.from_numpy(images))]

    return run
