"""The MultiBox loss: class, box and landmark terms over matched anchors.

Liu et al. 2016, SSD, section 2.2; Deng et al. 2020, RetinaFace, section 3.1 for the landmarks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ffcore.errors import ConfigError
from ffcore.geometry.coder import encode_boxes, encode_landmarks
from ffcore.losses.anchor_grid import AnchorGrid
from ffcore.losses.matching import match_anchors
from ffcore.losses.targets import Targets
from ffcore.models.blocks.heads import RawOutputs


@dataclass(frozen=True, kw_only=True)
class MultiBoxConfig:
    """Settings of the loss; the defaults are the published ones.

    Raises:
        ConfigError: A value is out of its range.
    """

    threshold: float = 0.35
    """IoU from which an anchor is positive, 0 to 1."""
    negatives_per_positive: int = 7
    """Hardest background anchors kept for each positive one, 0 or more."""
    box_weight: float = 2.0
    """Factor of the box term, 0 or more; likewise below."""
    class_weight: float = 1.0
    landmark_weight: float = 1.0
    variances: tuple[float, float] = (0.1, 0.2)
    """Of centres and of sizes, in the coding of boxes."""

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise ConfigError(f"threshold = {self.threshold}: an IoU above 0 and up to 1 is needed")
        for name in ("negatives_per_positive", "box_weight", "class_weight", "landmark_weight"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} = {getattr(self, name)}: 0 or more is needed")


class LossTerms(NamedTuple):
    """The loss and what it is made of; all scalars."""

    total: Tensor
    """Weighted sum of the others."""
    box: Tensor
    classification: Tensor
    landmark: Tensor


class MultiBoxLoss:
    """Computes the loss of raw outputs against labelled faces.

    Args:
        config: Settings.
    """

    def __init__(self, config: MultiBoxConfig | None = None) -> None:
        self.config = config or MultiBoxConfig()

    def __call__(self, outputs: RawOutputs, targets: Targets, grid: AnchorGrid) -> LossTerms:
        """The loss of a batch.

        Box and class terms are divided by the number of positive anchors in the batch, the landmark term
        by the number of those whose face has landmarks (each at least 1). An image without positives
        adds nothing, not even background.

        Args:
            outputs: Of the network, B images and A anchors.
            targets: Of the same images.
            grid: The anchors of the images.
        """
        config = self.config
        face, positive = match_anchors(targets, grid, threshold=config.threshold)

        image, anchor = positive.nonzero(as_tuple=True)
        row = face[image, anchor]
        matched = grid.table[anchor]
        box_target = encode_boxes(targets.boxes[image, row], matched, variances=config.variances)
        box = F.smooth_l1_loss(outputs.boxes[image, anchor].float(), box_target, reduction="sum")

        known = targets.has_landmarks[image, row]
        point_target = encode_landmarks(
            targets.landmarks[image, row][known], matched[known], variances=config.variances
        )
        points = outputs.landmarks[image[known], anchor[known]].float()
        landmark = F.smooth_l1_loss(points, point_target, reduction="sum")

        # as background, an anchor costs softplus(face − background): the difference ranks it as well
        difference = (outputs.logits[..., 1] - outputs.logits[..., 0]).detach()
        counted = positive | hardest_negatives(difference, positive, ratio=config.negatives_per_positive)
        classification = F.cross_entropy(
            outputs.logits[counted].float(), positive[counted].long(), reduction="sum"
        )

        count = max(1, len(image))
        box, classification = box / count, classification / count
        landmark = landmark / known.sum().clamp(min=1)
        total = (
            config.box_weight * box + config.class_weight * classification + config.landmark_weight * landmark
        )
        return LossTerms(total=total, box=box, classification=classification, landmark=landmark)


@torch.no_grad()
def hardest_negatives(losses: Tensor, positive: Tensor, *, ratio: int) -> Tensor:
    """The background anchors with the largest loss, `ratio` for each positive one, image by image.

    Args:
        losses: (B, A) float, loss of each anchor as background, or anything that grows with it.
        positive: (B, A) bool.
        ratio: Negatives per positive; at most A − 1 are taken.

    Returns:
        (B, A) bool, never true where `positive` is.
    """
    wanted = (ratio * positive.sum(dim=1, keepdim=True)).clamp(max=positive.shape[1] - 1)
    most = int(wanted.max()) if wanted.numel() else 0
    hardest = losses.masked_fill(positive, -torch.inf).topk(most, dim=1).indices
    taken = torch.arange(most, device=positive.device) < wanted
    return torch.zeros_like(positive).scatter_(1, hardest, taken) & ~positive
