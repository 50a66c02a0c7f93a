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

IGNORED_SHARE = 0.5
"""An anchor with so much of its area in an ignored box is neither face nor background."""


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

    def __call__(
        self,
        outputs: RawOutputs,
        targets: Targets,
        grid: AnchorGrid,
        *,
        weights: Tensor | None = None,
        ignored: Tensor | None = None,
        neutral: Tensor | None = None,
    ) -> LossTerms:
        """The loss of a batch.

        Box and class terms are divided by the number of positive anchors in the batch, the landmark term
        by the number of those whose face has landmarks (each at least 1). An image without positives
        adds nothing, not even background.

        Args:
            outputs: Of the network, B images and A anchors.
            targets: Of the same images.
            grid: The anchors of the images.
            weights: (B, G) float, 0 to 1: how much the anchors of each face count, in the terms and in the
                numbers that they are divided by; 1 for all when None.
            ignored: (B, I, 4) float, xyxy relative to the image: anchors that lie in such a box by half or
                more are no background; a box without area ignores nothing.
            neutral: (B, A) bool: more anchors that are no background; those of faces stay so.
        """
        config = self.config
        face, positive = match_anchors(targets, grid, threshold=config.threshold)

        image, anchor = positive.nonzero(as_tuple=True)
        place = image * len(grid) + anchor  # in the outputs of all images together
        row = face[image, anchor]
        share = torch.ones(len(row), device=row.device) if weights is None else weights[image, row]
        matched = grid.table[anchor]
        box_target = encode_boxes(targets.boxes[image, row], matched, variances=config.variances)
        box = F.smooth_l1_loss(_pick(outputs.boxes, place), box_target, reduction="none")
        box = (box.sum(dim=1) * share).sum()

        known = targets.has_landmarks[image, row]
        point_target = encode_landmarks(
            targets.landmarks[image, row][known], matched[known], variances=config.variances
        )
        points = _pick(outputs.landmarks, place[known])
        landmark = F.smooth_l1_loss(points, point_target, reduction="none")
        landmark = (landmark.sum(dim=1) * share[known]).sum()

        excluded = neutral
        if ignored is not None:
            excluded = _in_ignored(ignored, grid)
            excluded = excluded if neutral is None else excluded | neutral
        # as background, an anchor costs softplus(face − background): the difference ranks it as well
        difference = (outputs.logits[..., 1] - outputs.logits[..., 0]).detach()
        negative = hardest_negatives(
            difference,
            positive,
            ratio=config.negatives_per_positive,
            excluded=excluded,
        )
        faces = F.cross_entropy(_pick(outputs.logits, place), torch.ones_like(row), reduction="none")
        background = _pick(outputs.logits, negative.flatten().nonzero()[:, 0])
        nothing = background.new_zeros(len(background), dtype=torch.long)
        classification = (faces * share).sum() + F.cross_entropy(background, nothing, reduction="sum")

        count = share.sum().clamp(min=1)
        box, classification = box / count, classification / count
        landmark = landmark / share[known].sum().clamp(min=1)
        total = (
            config.box_weight * box + config.class_weight * classification + config.landmark_weight * landmark
        )
        return LossTerms(total=total, box=box, classification=classification, landmark=landmark)


def _pick(values: Tensor, places: Tensor) -> Tensor:
    """(N, k) float32: rows of (B, A, k); sums over thousands of them need more than half precision."""
    return values.flatten(0, 1).index_select(0, places).float()


@torch.no_grad()
def hardest_negatives(
    losses: Tensor, positive: Tensor, *, ratio: int, excluded: Tensor | None = None
) -> Tensor:
    """The background anchors with the largest loss, `ratio` for each positive one, image by image.

    Args:
        losses: (B, A) float, loss of each anchor as background, or anything that grows with it.
        positive: (B, A) bool.
        ratio: Negatives per positive; at most A − 1 are taken.
        excluded: (B, A) bool, anchors that are not background either; none when None.

    Returns:
        (B, A) bool, never true where `positive` or `excluded` is.
    """
    taboo = positive if excluded is None else positive | excluded
    wanted = (ratio * positive.sum(dim=1, keepdim=True)).clamp(max=positive.shape[1] - 1)
    most = int(wanted.max()) if wanted.numel() else 0
    hardest = losses.masked_fill(taboo, -torch.inf).topk(most, dim=1).indices
    taken = torch.arange(most, device=positive.device) < wanted
    return torch.zeros_like(positive).scatter_(1, hardest, taken) & ~taboo


@torch.no_grad()
def _in_ignored(boxes: Tensor, grid: AnchorGrid) -> Tensor:
    """(B, A) bool: the anchors of which half or more lies in an ignored box."""
    batch, count = boxes.shape[:2]
    if count == 0:
        return torch.zeros(batch, len(grid), dtype=torch.bool, device=boxes.device)
    covered = grid.coverage(boxes.flatten(0, 1)).view(batch, count, -1)
    return covered.amax(dim=1) >= IGNORED_SHARE
