"""Several networks that teach as one (Hinton et al. 2015, arXiv 1503.02531, section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from ffcore.distillation.teacher import Lesson, Teacher
from ffcore.models.blocks.heads import RawOutputs
from ffcore.models.featherface import FeatherFace

Together = Literal["mean", "turns"]
"""Whether several teachers speak at once, or one of them for each batch."""


class JointTeacher:
    """Several teachers as one; its maps are those of the first.

    "mean" says the mean of what they say, of logits and offsets, before anything is made of them; all these
    networks have the same anchors. That averages probabilities geometrically, so a face is sure where all of
    them are.

    "turns" lets chance name one of them for every batch that is learnt from (where no gradients are wanted,
    as in a validation, the mean speaks). The gradient of a squared difference or of a cross entropy is linear
    in what the teacher says, so over many batches it is on average that under a mean, of offsets or of
    probabilities, at the price of one teacher. Such a teacher has no maps.

    Args:
        teachers: One or more.
        together: How they speak. Chance is torch's own on the CPU, which is part of a training's state.
    """

    def __init__(self, teachers: Sequence[Teacher], *, together: Together = "mean") -> None:
        self._first, *self._others = self._all = list(teachers)
        self._turns = together == "turns"

    @property
    def network(self) -> FeatherFace:
        """The weights of the first."""
        return self._first.network

    @property
    def gives_features(self) -> bool:
        """Whether the first can be asked for its maps; in turns nobody, as those of others differ."""
        return self._first.gives_features and not self._turns

    def __call__(self, pixels: Tensor, *, features: bool = False) -> Lesson:
        """Looks at a batch; see `Teacher`."""
        if self._turns and torch.is_grad_enabled():
            return self._all[int(torch.randint(len(self._all), ()))](pixels)
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
