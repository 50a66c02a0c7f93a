"""The MultiBox loss: class, box and landmark terms over matched anchors.

Liu et al. 2016, SSD, section 2.2; Deng et al. 2020, RetinaFace, section 3.1 for the landmarks. The defaults
are the published loss; matching, box term and class term each have alternatives.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from ffcore.config.settings import check_choices
from ffcore.distributed import Processes
from ffcore.errors import ConfigError
from ffcore.geometry.coder import encode_boxes, encode_landmarks
from ffcore.losses.anchor_grid import AnchorGrid
from ffcore.losses.atss import match_anchors_atss
from ffcore.losses.boxes import BoxLossKind, box_losses, box_quality
from ffcore.losses.classes import ClassLossKind, focal_losses, hardest_negatives, quality_focal_losses
from ffcore.losses.matching import Matches, match_anchors
from ffcore.losses.simota import match_anchors_simota
from ffcore.losses.targets import Targets
from ffcore.models.blocks.heads import RawOutputs

MatchingKind = Literal["iou", "atss", "simota"]

IGNORED_SHARE = 0.5
"""An anchor with so much of its area in an ignored box is neither face nor background."""


@dataclass(frozen=True, kw_only=True)
class MultiBoxConfig:
    """Settings of the loss; the defaults are the published ones.

    Raises:
        ConfigError: A value is out of its range.
    """

    matching: MatchingKind = "iou"
    """Anchors answer for faces from one IoU on, from one that suits each face (`match_anchors_atss`), or
    where the network finds them best (`match_anchors_simota`)."""
    threshold: float = 0.35
    """That IoU, 0 to 1; for matching "iou"."""
    atss_nearest: int = 9
    """Cells of each level whose anchors are candidates, 1 or more; for matching "atss"."""
    simota_nearest: int = 25
    """Likewise for matching "simota"."""
    simota_below: float = 0.0
    """Height in pixels of the input, 0 or more: lower faces are matched as "simota" does, whatever the
    matching is; they take anchors before others."""
    class_loss: ClassLossKind = "hard-negatives"
    """Cross-entropy of positive anchors and the hardest others, or a focal loss of all anchors; fresh heads
    need `set_prior` for the latter."""
    negatives_per_positive: int = 7
    """Hardest background anchors kept for each positive one, 0 or more; for "hard-negatives"."""
    focal_alpha: float = 0.25
    """Weight of faces, 0 to 1, that of background being the rest; for "focal"."""
    focal_gamma: float = 2.0
    """How much less an anchor counts that is right already, 0 or more; for "focal"."""
    quality_beta: float = 2.0
    """Likewise, 1 or more; for "quality-focal"."""
    box_loss: BoxLossKind = "smooth-l1"
    """Of offsets, or of the overlap of decoded boxes."""
    box_weight: float = 2.0
    """Factor of the box term, 0 or more; likewise below."""
    class_weight: float = 1.0
    landmark_weight: float = 1.0
    size_balance: float = 0.0
    """An anchor of s pixels counts (s / 32)^size_balance, 0 or more, in the terms and their divisors, so
    that crowds of small faces do not drown the large ones; see `AnchorGrid.importance`."""
    smallest_face: float = 0.0
    """Height in pixels of the input, 0 or more: lower faces count nothing, and their anchors are no
    background either. The protocol of WIDER FACE asks for faces from 10 pixels."""

    def __post_init__(self) -> None:
        choices = {"matching": MatchingKind, "class_loss": ClassLossKind, "box_loss": BoxLossKind}
        check_choices(self, {name: get_args(kind) for name, kind in choices.items()})
        if not 0 < self.threshold <= 1:
            raise ConfigError(f"threshold = {self.threshold}: an IoU above 0 and up to 1 is needed")
        if not 0 <= self.focal_alpha <= 1:
            raise ConfigError(f"focal_alpha = {self.focal_alpha}: a share from 0 to 1 is needed")
        at_least = {
            "atss_nearest": 1,
            "simota_nearest": 1,
            "quality_beta": 1,
            "focal_gamma": 0,
            "negatives_per_positive": 0,
        }
        weights = ("box_weight", "class_weight", "landmark_weight")
        at_least |= dict.fromkeys((*weights, "size_balance", "smallest_face", "simota_below"), 0)
        for name, least in at_least.items():
            if not getattr(self, name) >= least:
                raise ConfigError(f"{name} = {getattr(self, name)}: {least} or more is needed")


class LossTerms(NamedTuple):
    """The loss and what it is made of; all scalars."""

    total: Tensor
    """Weighted sum of the others."""
    box: Tensor
    classification: Tensor
    landmark: Tensor


class _Roles(NamedTuple):
    """What the A anchors of B images are, of which P are positive."""

    positive: Tensor
    """(B, A) bool."""
    place: Tensor
    """(P,) int64: the positive ones in the anchors of all images together."""
    weight: Tensor
    """(P,) float: how much the face of each of them counts."""
    share: Tensor
    """(P,) float: how much each of them counts, its size included."""
    excluded: Tensor | None
    """(B, A) bool: those that are no background."""
    importance: Tensor
    """(A,) float: how much they count by their size."""


class MultiBoxLoss:
    """Computes the loss of raw outputs against labelled faces.

    Args:
        config: Settings.
        processes: Those that share the training, each with a part of every batch; alone when None. All of
            them must compute a loss at the same time.
    """

    def __init__(self, config: MultiBoxConfig | None = None, *, processes: Processes | None = None) -> None:
        self.config = config or MultiBoxConfig()
        self._processes = processes or Processes()

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
        by the number of those whose face has landmarks (each at least 1), anchors counting as much as their
        face's weight times what `size_balance` makes of their size. With mined negatives an image without
        positives adds nothing, not even background; a focal loss counts its background.

        Among several processes the numbers are means over all of them (together at least 1), so that the
        mean of their gradients is the gradient of one process with all images, however faces are spread.

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
        face, positive = self._match(outputs, targets, grid)
        if config.smallest_face and targets.is_face.shape[1]:
            low = positive & _lower(targets, grid, config.smallest_face).gather(1, face)
            positive = positive & ~low
            neutral = low if neutral is None else low | neutral
        image, anchor = positive.nonzero(as_tuple=True)
        place = image * len(grid) + anchor  # in the outputs of all images together
        row = face[image, anchor]
        importance = grid.importance(config.size_balance)
        weight = torch.ones_like(importance[anchor]) if weights is None else weights[image, row]
        share = importance[anchor] * weight
        matched = grid.table[anchor]

        predicted = _pick(outputs.boxes, place)
        box_target = encode_boxes(targets.boxes[image, row], matched)
        box = box_losses(predicted, box_target, kind=config.box_loss)
        box = (box * share).sum()

        known = targets.has_landmarks[image, row]
        point_target = encode_landmarks(targets.landmarks[image, row][known], matched[known])
        points = _pick(outputs.landmarks, place[known])
        landmark = F.smooth_l1_loss(points, point_target, reduction="none")
        landmark = (landmark.sum(dim=1) * share[known]).sum()

        excluded = neutral
        if ignored is not None:
            excluded = _in_ignored(ignored, grid)
            excluded = excluded if neutral is None else excluded | neutral
        roles = _Roles(positive, place, weight, share, excluded, importance)
        if config.class_loss == "hard-negatives":
            classification = self._mined(outputs.logits, roles)
        else:
            quality = None
            if config.class_loss == "quality-focal":
                quality = box_quality(predicted, box_target)
            classification = self._focal(outputs.logits, roles, quality)

        counts = self._processes.average(torch.stack([share.sum(), share[known].sum()]))
        positives, with_landmarks = counts.clamp(min=1 / self._processes.count)
        box, classification, landmark = box / positives, classification / positives, landmark / with_landmarks
        total = (
            config.box_weight * box + config.class_weight * classification + config.landmark_weight * landmark
        )
        return LossTerms(total=total, box=box, classification=classification, landmark=landmark)

    def _match(self, outputs: RawOutputs, targets: Targets, grid: AnchorGrid) -> Matches:
        config = self.config
        if config.matching == "simota":
            return self._simota(outputs, targets, grid)
        if not config.simota_below:
            return self._by_anchors(targets, grid)
        low = targets.is_face & _lower(targets, grid, config.simota_below)
        others = self._by_anchors(replace(targets, is_face=targets.is_face & ~low), grid)
        lowest = self._simota(outputs, replace(targets, is_face=low), grid)
        face = torch.where(lowest.positive, lowest.face, others.face)
        return Matches(face=face, positive=lowest.positive | others.positive)

    def _by_anchors(self, targets: Targets, grid: AnchorGrid) -> Matches:
        if self.config.matching == "atss":
            return match_anchors_atss(targets, grid, nearest=self.config.atss_nearest)
        return match_anchors(targets, grid, threshold=self.config.threshold)

    def _simota(self, outputs: RawOutputs, targets: Targets, grid: AnchorGrid) -> Matches:
        return match_anchors_simota(targets, grid, outputs, nearest=self.config.simota_nearest)

    def _mined(self, logits: Tensor, roles: _Roles) -> Tensor:
        """Sum of the cross-entropy over positive anchors and the hardest background."""
        # as background, an anchor costs softplus(face − background): the difference ranks it as well
        difference = (logits[..., 1] - logits[..., 0]).detach()
        taboo = roles.positive if roles.excluded is None else roles.positive | roles.excluded
        # a face that counts half brings half the background, and one that counts nothing none
        faces = roles.weight.new_zeros(len(taboo)).index_add_(0, roles.place // taboo.shape[1], roles.weight)
        wanted = (self.config.negatives_per_positive * faces).round().long()
        negative = hardest_negatives(difference, taboo, wanted=wanted)
        place = torch.cat([roles.place, negative])
        is_face = torch.zeros(len(place), dtype=torch.long, device=place.device)
        is_face[: len(roles.place)] = 1
        losses = F.cross_entropy(_pick(logits, place), is_face, reduction="none")
        share = torch.cat([roles.share, roles.importance[negative % len(roles.importance)]])
        return (losses * share).sum()

    def _focal(self, logits: Tensor, roles: _Roles, quality: Tensor | None) -> Tensor:
        """Sum of a focal loss over all anchors; with (P,) qualities that of the positive ones is the aim."""
        config = self.config
        difference = logits[..., 1].float() - logits[..., 0].float()
        at_faces = difference.flatten()[roles.place]
        if quality is None:
            alpha, gamma = config.focal_alpha, config.focal_gamma
            faces = focal_losses(at_faces, face=True, alpha=alpha, gamma=gamma)
            background = focal_losses(difference, face=False, alpha=alpha, gamma=gamma)
        else:
            faces = quality_focal_losses(at_faces, quality, beta=config.quality_beta)
            background = quality_focal_losses(difference, None, beta=config.quality_beta)
        elsewhere = roles.positive if roles.excluded is None else roles.positive | roles.excluded
        background = background.masked_fill(elsewhere, 0) * roles.importance
        return (faces * roles.share).sum() + background.sum()


def _lower(targets: Targets, grid: AnchorGrid, pixels: float) -> Tensor:
    """(B, G) bool: the faces that are lower than so many pixels of the input."""
    return (targets.boxes[..., 3] - targets.boxes[..., 1]) * grid.height < pixels


def _pick(values: Tensor, places: Tensor) -> Tensor:
    """(N, k) float32: rows of (B, A, k); sums over thousands of them need more than half precision."""
    return values.flatten(0, 1).index_select(0, places).float()


@torch.no_grad()
def _in_ignored(boxes: Tensor, grid: AnchorGrid) -> Tensor:
    """(B, A) bool: the anchors of which half or more lies in an ignored box."""
    batch, count = boxes.shape[:2]
    pairs = grid.coverage_pairs(boxes.flatten(0, 1), share=IGNORED_SHARE)
    inside = torch.zeros(batch, len(grid), dtype=torch.bool, device=boxes.device)
    inside[pairs.box // max(count, 1), pairs.anchor] = True
    return inside
