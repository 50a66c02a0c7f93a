"""What of the teacher counts, and how much."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import get_args

from ffcore.config.settings import check_choices
from ffcore.distillation.alpha import AlphaConfig
from ffcore.distillation.features import FeatureNorm
from ffcore.distillation.losses import Normalization
from ffcore.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class DistillationConfig:
    """Settings of ``(1 − α)·task + α·distill + feature_weight·feature``, by default the documented ones.

    Raises:
        ConfigError: A value is unknown or out of its range.
    """

    alpha: AlphaConfig = field(default_factory=AlphaConfig)
    """How α goes over the epochs."""
    temperature: float = 4.0
    """By which logits are divided before they are compared, above 0; "focal" compares them as they are."""
    normalize: Normalization = "all"
    """Over which anchors the terms are averaged; see `ffcore.distillation.losses.distillation_losses`."""
    focal_gamma: float = 2.0
    """Of "focal": how much less an anchor counts on which both agree, 1 or more."""
    class_weight: float = 1.0
    """Factor of the class term within distill, 0 or more; likewise below."""
    box_weight: float = 1.0
    landmark_weight: float = 1.0
    size_balance: float = 0.0
    """Added to the loss's own in the terms of distill, 0 or more: a teacher that sees large faces better than
    its student and small ones no better then teaches the large ones; see `AnchorGrid.importance`."""
    feature_weight: float = 0.1
    """Factor of feature matching, 0 or more; 0 leaves it out, and no adapters are made."""
    feature_norm: FeatureNorm = "plain"
    """"plain": mean squares as they are; "normalized": relative to those of the teacher's map."""
    teacher_ignore: float = 0.6
    """Anchors of at least this probability by the teacher are no background, 0 to 1; 0 leaves them be."""
    start_epoch: int = 0
    """Epochs that belong to the labels alone, before the teacher is asked at all; 0 or more."""

    def __post_init__(self) -> None:
        check_choices(self, {"normalize": get_args(Normalization), "feature_norm": get_args(FeatureNorm)})
        if not self.temperature > 0:
            raise ConfigError(f"temperature = {self.temperature}: a temperature above 0 is needed")
        least = {"focal_gamma": 1, "class_weight": 0, "box_weight": 0, "landmark_weight": 0}
        for name, low in {**least, "feature_weight": 0, "size_balance": 0}.items():
            if not getattr(self, name) >= low:
                raise ConfigError(f"{name} = {getattr(self, name)}: {low} or more is needed")
        if not 0 <= self.teacher_ignore <= 1:
            raise ConfigError(f"teacher_ignore = {self.teacher_ignore}: a probability, 0 to 1, is needed")
        epoch = self.start_epoch
        if not isinstance(epoch, int) or isinstance(epoch, bool) or epoch < 0:
            raise ConfigError(f"start_epoch = {epoch!r}: a whole number of at least 0 is needed")
