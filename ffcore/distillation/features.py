"""How far the maps inside a student are from those inside its teacher."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ffcore.errors import ConfigError
from ffcore.models.featherface import LEVELS, FeatherFace, Features

FeatureNorm = Literal["plain", "normalized"]
"""Mean squares as they are, or relative to the mean square of the teacher's map."""

FLOOR = 1e-6
"""Mean square below which a teacher's map is not divided by."""


class FeatureAdapters(nn.Module):
    """Gives the maps of a student the widths of its teacher's: C3, C4, C5, then P3, P4, P5.

    A map of another width passes a 1×1 convolution of its own, which learns with the student and is no part
    of it; one of the same width stays as it is.

    Args:
        student: Widths of its six maps, channels.
        teacher: Likewise.

    Source: Romero et al. 2015, FitNets, section 2.2, whose regressor is the like for one map.
    """

    def __init__(self, student: Sequence[int], teacher: Sequence[int]) -> None:
        super().__init__()
        self.maps = nn.ModuleList(
            nn.Identity() if own == other else nn.Conv2d(own, other, 1)
            for own, other in zip(student, teacher, strict=True)
        )

    @classmethod
    def between(cls, student: FeatherFace, teacher: FeatherFace) -> FeatureAdapters:
        """Adapters between two networks."""
        return cls(map_widths(student), map_widths(teacher))

    def forward(self, features: Features) -> list[Tensor]:
        """The six maps of a student, as wide as the teacher's."""
        maps = zip(self.maps, matched_maps(features), strict=True)
        return [adapter(x) for adapter, x in maps]

    def unused(self) -> Tensor:
        """Zero with a gradient of zero for every weight, for a step in which no map is compared.

        DistributedDataParallel waits for the gradients of all parameters in every step.
        """
        return sum((0.0 * weight.sum() for weight in self.parameters()), torch.zeros(()))


def map_widths(network: FeatherFace) -> tuple[int, ...]:
    """Channels of C3, C4, C5, P3, P4, P5."""
    return (*network.backbone.widths, *(network.config.out_channel,) * LEVELS)


def matched_maps(features: Features) -> list[Tensor]:
    """C3, C4, C5 and the outputs of the pyramid."""
    return [*features.backbone, *features.pyramid]


def feature_loss(
    student: Sequence[Tensor], teacher: Sequence[Tensor], *, norm: FeatureNorm = "plain"
) -> Tensor:
    """Sum over the maps of the mean squared difference.

    Args:
        student: Maps (B, C, H, W), each of the shape of its partner.
        teacher: Its partners; no gradient flows into them.
        norm: "plain" is the documents' form; "normalized" divides each term by the mean square of the
            teacher's map, so that a map counts by how well it is met and not by how large its numbers are.

    Raises:
        ConfigError: Two maps differ in shape.
    """
    terms = []
    for own, other in zip(student, teacher, strict=True):
        if own.shape != other.shape:
            raise ConfigError(
                f"maps of shape {tuple(own.shape)} and {tuple(other.shape)} cannot be compared; an adapter "
                "makes widths equal, the same input makes sizes equal"
            )
        target = other.detach().float()
        error = F.mse_loss(own.float(), target)
        terms.append(error / target.square().mean().clamp(min=FLOOR) if norm == "normalized" else error)
    return sum(terms[1:], terms[0])
