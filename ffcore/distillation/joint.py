"""Several networks that teach as one (Hinton et al. 2015, arXiv 1503.02531, section 3)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ffcore.distillation.teacher import Lesson, Teacher
from ffcore.models.blocks.heads import RawOutputs
from ffcore.models.featherface import FeatherFace


class JointTeacher:
    """Says the mean of what several teachers say; its maps are those of the first.

    Means are taken of logits and offsets, before anything is made of them; all these networks have the same
    anchors. That averages probabilities geometrically, so a face is sure where all of them are.

    Args:
        teachers: One or more.
    """

    def __init__(self, teachers: Sequence[Teacher]) -> None:
        self._first, *self._others = teachers

    @property
    def network(self) -> FeatherFace:
        """The weights of the first."""
        return self._first.network

    @property
    def gives_features(self) -> bool:
        """Whether the first can be asked for its maps."""
        return self._first.gives_features

    def __call__(self, pixels: Tensor, *, features: bool = False) -> Lesson:
        """Looks at a batch; see `Teacher`."""
        lesson = self._first(pixels, features=features)
        others = [teacher(pixels).outputs for teacher in self._others]
        return Lesson(mean_outputs([lesson.outputs, *others]), lesson.features)


class JointNetwork(nn.Module):
    """The same of networks, to detect with and to be scored.

    Args:
        networks: One or more, kept as they are.
    """

    def __init__(self, networks: Sequence[FeatherFace]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, pixels: Tensor) -> RawOutputs:
        """The mean of what all say of (B, 3, H, W) pixels."""
        return mean_outputs([network(pixels) for network in self.networks])


def mean_outputs(said: Sequence[RawOutputs]) -> RawOutputs:
    """The mean of raw outputs of one or more networks for the same images."""
    if len(said) == 1:
        return said[0]
    return RawOutputs(*(torch.stack(parts).mean(dim=0) for parts in zip(*said, strict=True)))
