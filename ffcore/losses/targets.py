"""The labelled faces of a batch, as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ffcore.errors import ConfigError


@dataclass(frozen=True, eq=False)
class Targets:
    """Labelled faces of B images, padded to the largest number G of faces in one of them.

    Args:
        boxes: (B, G, 4) float, xyxy relative to the image.
        landmarks: (B, G, 10) float, x y of five points relative to the image; what stands where
            `has_landmarks` is false means nothing.
        is_face: (B, G) bool; false for padding.
        has_landmarks: (B, G) bool.

    Raises:
        ConfigError: Shapes disagree.
    """

    boxes: Tensor
    landmarks: Tensor
    is_face: Tensor
    has_landmarks: Tensor

    def __post_init__(self) -> None:
        batch = tuple(self.is_face.shape)
        if (
            len(batch) != 2
            or tuple(self.boxes.shape) != (*batch, 4)
            or tuple(self.landmarks.shape) != (*batch, 10)
            or tuple(self.has_landmarks.shape) != batch
        ):
            raise ConfigError(
                "targets need boxes (B, G, 4), landmarks (B, G, 10), is_face and has_landmarks (B, G); got "
                f"{tuple(self.boxes.shape)}, {tuple(self.landmarks.shape)}, {batch} and "
                f"{tuple(self.has_landmarks.shape)}"
            )

    @classmethod
    def from_rows(cls, rows: Sequence[Tensor]) -> Targets:
        """Targets from the published layout of one tensor an image.

        Args:
            rows: For each image (G, 15) float: box, five points, and 1 where the face has landmarks, −1
                where it has not. A face whose box has no area is left out: it can match nothing, yet it
                would take the first anchor and make the published loss infinite.
        """
        kept = [
            image[(image[:, 2] > image[:, 0]) & (image[:, 3] > image[:, 1])] if len(image) else image
            for image in rows
        ]
        most = max((len(image) for image in kept), default=0)
        device = kept[0].device if kept else None
        table = torch.zeros(len(kept), most, 15, device=device)
        is_face = torch.zeros(len(kept), most, dtype=torch.bool, device=device)
        for i, image in enumerate(kept):
            if len(image):
                table[i, : len(image)] = image
                is_face[i, : len(image)] = True
        return cls(
            boxes=table[..., :4],
            landmarks=table[..., 4:14],
            is_face=is_face,
            has_landmarks=is_face & (table[..., 14] > 0),
        )

    def to(self, device: torch.device | str) -> Targets:
        """The same targets on another device."""
        return Targets(
            boxes=self.boxes.to(device),
            landmarks=self.landmarks.to(device),
            is_face=self.is_face.to(device),
            has_landmarks=self.has_landmarks.to(device),
        )
