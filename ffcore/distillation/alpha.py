"""How much the teacher counts over a training: α in (1 − α)·task + α·distillation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

from ffcore.config.settings import check_choices
from ffcore.errors import ConfigError

AlphaKind = Literal["constant", "linear", "cosine", "exponential", "dynamic"]

LOWEST, HIGHEST = 0.1, 0.9
LATE, LATE_CAP = 0.8, 0.4
"""In the last fifth the labels get more than half the say."""
PLATEAU_CHECKS, PLATEAU_FACTOR = 10, 0.9


@dataclass(frozen=True, kw_only=True)
class AlphaConfig:
    """Settings of the schedule; the defaults are the documented ones.

    Raises:
        ConfigError: A value is unknown or out of its range.
    """

    kind: AlphaKind = "dynamic"
    """"dynamic" is linear, and reacts to a validation loss that no longer falls."""
    epochs: int = 400
    """Of the whole training, 1 or more."""
    start: float = 0.8
    """α of the first epoch, 0 to 1."""
    end: float = 0.5
    """α that the last epoch would have, 0 to 1."""
    constant: float = 0.7
    """α of the constant schedule, 0 to 1."""

    def __post_init__(self) -> None:
        check_choices(self, {"kind": get_args(AlphaKind)})
        if self.epochs < 1:
            raise ConfigError(f"epochs = {self.epochs}: 1 or more are needed")
        for name in ("start", "end", "constant"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(f"{name} = {getattr(self, name)}: above 0 and up to 1 is needed")


class AlphaSchedule:
    """Gives α for each epoch.

    Args:
        config: Settings.

    Attributes:
        plateau: Validations since the loss was last below its best.
        best_loss: Lowest validation loss seen.
    """

    def __init__(self, config: AlphaConfig | None = None) -> None:
        self.config = config or AlphaConfig()
        self.plateau = 0
        self.best_loss = math.inf

    def alpha(self, epoch: int, loss: float | None = None) -> float:
        """α of an epoch.

        Args:
            epoch: From 0.
            loss: Validation loss, where there is one; only the dynamic schedule heeds it.
        """
        config = self.config
        if config.kind == "constant":
            return config.constant
        alpha = _base(config, epoch)
        if config.kind == "dynamic":
            self._record(loss)
            if self.plateau > PLATEAU_CHECKS:
                alpha *= PLATEAU_FACTOR
        if epoch > LATE * config.epochs:
            alpha = min(alpha, LATE_CAP)
        return min(max(alpha, LOWEST), HIGHEST)

    def state(self) -> dict[str, Any]:
        """What a checkpoint must keep, as plain values."""
        return {"plateau": self.plateau, "best_loss": self.best_loss}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from what `state` gave."""
        self.plateau, self.best_loss = state["plateau"], state["best_loss"]

    def _record(self, loss: float | None) -> None:
        if loss is None:
            return
        if loss < self.best_loss:
            self.best_loss, self.plateau = loss, 0
        else:
            self.plateau += 1


def _base(config: AlphaConfig, epoch: int) -> float:
    progress = epoch / config.epochs
    if config.kind == "cosine":
        return config.end + (config.start - config.end) * (1 + math.cos(math.pi * progress)) / 2
    if config.kind == "exponential":
        return float(config.start * (config.end / config.start) ** progress)
    return config.start + (config.end - config.start) * progress
