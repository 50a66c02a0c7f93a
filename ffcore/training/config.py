"""How a network is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ffcore.config.settings import check_choices
from ffcore.errors import ConfigError
from ffcore.training.schedule import cosine_rate, multistep_rate, onecycle_rate, trapezoid_rate

ScheduleKind = Literal["onecycle", "cosine", "multistep", "trapezoid"]
OptimizerKind = Literal["adamw", "soap"]


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Settings of the steps of a training; the defaults are those of the published v1.

    Raises:
        ConfigError: A value is unknown or out of its range.
    """

    epochs: int = 350
    """Times that every photo is seen, 1 or more."""
    schedule: ScheduleKind = "onecycle"
    """How the rate goes over the training."""
    rate: float = 1e-3
    """Highest learning rate, above 0."""
    warmup: int = 5
    """Epochs until the highest rate of "cosine" and "trapezoid", 0 or more."""
    decay: float = 0.25
    """Share of the training, at its end, in which "trapezoid" goes down to zero; above 0 and up to 1."""
    milestones: tuple[int, ...] = (190, 220)
    """Epochs at which "multistep" divides the rate by ten."""
    optimizer: OptimizerKind = "adamw"
    """AdamW as published, or Adam along the directions in which gradients vary together (`SOAP`)."""
    weight_decay: float = 0.01
    """Of the optimizer, 0 or more. The published script meant another value and used this one."""
    clip: float = 1.0
    """Gradients with a larger norm are scaled down to it; 0 leaves them as they are."""
    accumulate: int = 1
    """Batches whose gradients are added up before one step of the optimizer, 1 or more."""
    ema: float = 0.0
    """Decay of the moving average of the weights, below 1; 0 keeps none."""
    frozen_norm: bool = False
    """Whether BatchNorm stays in evaluation mode: running statistics are used and never changed."""
    frozen_stages: int = 0
    """Stages of the backbone, from the first, that stay as they are, statistics included; 0 to 3."""

    def __post_init__(self) -> None:
        check_choices(self, {"schedule": get_args(ScheduleKind), "optimizer": get_args(OptimizerKind)})
        for name, low in (("epochs", 1), ("warmup", 0), ("accumulate", 1), ("frozen_stages", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < low:
                raise ConfigError(f"{name} = {value!r}: a whole number of at least {low} is needed")
        for name in ("weight_decay", "clip", "ema"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} = {getattr(self, name)}: 0 or more is needed")
        if self.frozen_stages > 3:
            raise ConfigError(f"frozen_stages = {self.frozen_stages}: the backbone has 3")
        if not self.rate > 0:
            raise ConfigError(f"rate = {self.rate}: a rate above 0 is needed")
        if self.ema >= 1:
            raise ConfigError(f"ema = {self.ema}: less than 1 is needed")
        if not 0 < self.decay <= 1:
            raise ConfigError(f"decay = {self.decay}: a share above 0 and up to 1 is needed")
        if self.schedule in ("cosine", "trapezoid") and self.warmup >= self.epochs:
            raise ConfigError(f"warmup = {self.warmup}: fewer than the {self.epochs} epochs are needed")

    def rate_at(self, step: int, *, steps_per_epoch: int) -> float:
        """The learning rate of an optimizer step.

        Args:
            step: From 0.
            steps_per_epoch: Optimizer steps of one epoch.
        """
        if self.schedule == "onecycle":
            steps = max(2, self.epochs * steps_per_epoch)
            return onecycle_rate(min(step, steps - 1), steps=steps, maximum=self.rate)
        if self.schedule == "trapezoid":
            return trapezoid_rate(
                step,
                steps=self.epochs * steps_per_epoch,
                warmup=self.warmup * steps_per_epoch,
                decay=self.decay,
                maximum=self.rate,
            )
        epoch = step // steps_per_epoch
        if self.schedule == "cosine":
            return cosine_rate(epoch, epochs=self.epochs, warmup=self.warmup, maximum=self.rate)
        return multistep_rate(epoch, maximum=self.rate, milestones=self.milestones)
