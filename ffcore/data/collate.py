"""From samples to the tensors of a batch; the only place of the data where they are made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ffcore.data.sample import Sample
from ffcore.errors import ConfigError
from ffcore.losses import Targets


@dataclass(frozen=True, eq=False)
class Batch:
    """B pictures of one size with their faces.

    Args:
        images: (B, 3, S, S) uint8, BGR, laid out in memory with channels last; the mean is subtracted on the
            device.
        targets: The faces to be found.
        weights: (B, G) float32, 0..1: how much each face of `targets` counts; 0 for padding.
        ignored: (B, I, 4) float32, xyxy relative to the picture: boxes whose anchors are neither faces nor
            background; zeros for padding.
        is_ignored: (B, I) bool; false for padding.
        names: For each picture the photos that it shows.
        labelled: (B,) bool: false where labels may be missing, so that nothing in the picture is known to be
            background; None where all are labelled.
        unread: Photos that could not be read, each with the reason.
    """

    images: Tensor
    targets: Targets
    weights: Tensor
    ignored: Tensor
    is_ignored: Tensor
    names: tuple[tuple[str, ...], ...]
    labelled: Tensor | None = None
    unread: tuple[tuple[str, str], ...] = ()

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Batch:
        """The same batch on another device."""
        return Batch(
            images=self.images.to(device, non_blocking=non_blocking),
            targets=self.targets.to(device),
            weights=self.weights.to(device, non_blocking=non_blocking),
            ignored=self.ignored.to(device, non_blocking=non_blocking),
            is_ignored=self.is_ignored.to(device, non_blocking=non_blocking),
            names=self.names,
            unread=self.unread,
            labelled=None if self.labelled is None else self.labelled.to(device, non_blocking=non_blocking),
        )

    def pin_memory(self) -> Batch:
        """The same batch in memory from which a GPU reads by itself; a loader calls this when asked to."""
        targets = self.targets
        return Batch(
            images=self.images.pin_memory(),
            targets=Targets(
                boxes=targets.boxes.pin_memory(),
                landmarks=targets.landmarks.pin_memory(),
                is_face=targets.is_face.pin_memory(),
                has_landmarks=targets.has_landmarks.pin_memory(),
            ),
            weights=self.weights.pin_memory(),
            ignored=self.ignored.pin_memory(),
            is_ignored=self.is_ignored.pin_memory(),
            names=self.names,
            unread=self.unread,
            labelled=None if self.labelled is None else self.labelled.pin_memory(),
        )


def collate(samples: Sequence[Sample]) -> Batch:
    """Puts samples of one size into a batch.

    Args:
        samples: At least one, all (S, S, 3) with the same S.

    Raises:
        ConfigError: There is none, or sizes differ.
    """
    shapes = {sample.image.shape for sample in samples}
    if len(shapes) != 1:
        raise ConfigError(f"a batch needs samples of one size, got {sorted(shapes) or 'no sample'}")
    height, width = samples[0].image.shape[:2]
    sides = np.array([width, height], np.float32)
    box_sides = np.array([width, height, width, height], np.float32)
    shown = [sample.faces[~sample.faces.ignore] for sample in samples]
    ignored = [sample.faces.boxes[sample.faces.ignore] / box_sides for sample in samples]
    boxes, is_face = _padded([faces.boxes / box_sides for faces in shown], (4,))
    landmarks, _ = _padded([(faces.landmarks / sides).reshape(-1, 10) for faces in shown], (10,))
    has_landmarks, _ = _padded([faces.has_landmarks.astype(np.float32) for faces in shown], ())
    weights, _ = _padded([faces.weights for faces in shown], ())
    ignored_boxes, is_ignored = _padded(ignored, (4,))
    labelled = [sample.labelled for sample in samples]
    return Batch(
        images=torch.from_numpy(np.stack([sample.image for sample in samples])).permute(0, 3, 1, 2),
        targets=Targets(boxes=boxes, landmarks=landmarks, is_face=is_face, has_landmarks=has_landmarks > 0),
        weights=weights,
        ignored=ignored_boxes,
        is_ignored=is_ignored,
        names=tuple(sample.names for sample in samples),
        labelled=None if all(labelled) else torch.tensor(labelled),
        unread=tuple(photo for sample in samples for photo in sample.unread),
    )


def _padded(parts: Sequence[NDArray[np.float32]], row: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """(B, most, *row) float32 filled up with zeros, and (B, most) bool: what is no padding."""
    most = max(len(part) for part in parts)
    table = np.zeros((len(parts), most, *row), np.float32)
    real = np.zeros((len(parts), most), np.bool_)
    for i, part in enumerate(parts):
        table[i, : len(part)] = part
        real[i, : len(part)] = True
    return torch.from_numpy(table), torch.from_numpy(real)
