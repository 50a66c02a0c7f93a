"""When a training has learnt what it will learn."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from ffcore.config.settings import check_choices
from ffcore.errors import ConfigError

Metric = Literal["loss", "ap"]


@dataclass(frozen=True, kw_only=True)
class EarlyStoppingConfig:
    """Settings of early stopping; the defaults are the documented ones.

    Raises:
        ConfigError: A value is out of its range.
    """

    metric: Metric = "loss"
    """What the best weights are chosen by, and what has to improve: see `judged_loss`; "ap" is the mean over
    the subsets, which here counts as the loss 1 − AP."""
    patience: int = 20
    """Checks without improvement that are allowed, 1 or more; half as many inside the window."""
    first_epoch: int = 100
    """Before it nothing is recorded and nothing stops."""
    window: tuple[int, int] = (100, 120)
    """First and last epoch in which half the patience is enough."""
    min_delta: float = 1e-4
    """A loss must be lower than the best by more than this to count as better."""
    degradation: float = 1.1
    """Behind the window, a loss above the best times this stops at once."""

    def __post_init__(self) -> None:
        check_choices(self, {"metric": get_args(Metric)})
        if self.patience < 1 or self.first_epoch < 0 or self.min_delta < 0 or self.degradation < 1:
            raise ConfigError(f"early stopping cannot work with {self}")
        if self.window[0] > self.window[1]:
            raise ConfigError(f"window = {self.window}: the first epoch must not be behind the last")


def judged_loss(terms: Mapping[str, float]) -> float | None:
    """The loss by which validations of one training are compared; None where none was computed.

    It is ``total``, but ``task`` under a teacher: there the total also moves with α, and where the task costs
    more than the teacher's part it rises in a student that only gets better.

    Args:
        terms: Loss terms by name, as an objective gives them.
    """
    return terms.get("task", terms.get("total"))


class EarlyStopping:
    """Decides after each validation whether to go on.

    Args:
        config: Settings.

    Attributes:
        best_loss: Lowest loss recorded; infinity before there is one.
        best_epoch: Its epoch.
        wait: Checks since then.
    """

    def __init__(self, config: EarlyStoppingConfig | None = None) -> None:
        self.config = config or EarlyStoppingConfig()
        self.best_loss = math.inf
        self.best_epoch = 0
        self.wait = 0

    def should_stop(self, epoch: int, loss: float) -> bool:
        """Takes in the validation loss of an epoch.

        Args:
            epoch: From 0.
            loss: Lower is better; one that is not a number never counts as better.

        Returns:
            Whether training should stop now. Asking on after that is allowed.
        """
        config = self.config
        if epoch < config.first_epoch:
            return False
        if loss < self.best_loss - config.min_delta:
            self.best_loss, self.best_epoch, self.wait = loss, epoch, 0
            return False
        self.wait += 1
        if config.window[0] <= epoch <= config.window[1]:
            return self.wait >= config.patience // 2
        return self.wait >= config.patience or loss > self.best_loss * config.degradation

    def state(self) -> dict[str, Any]:
        """What a checkpoint must keep, as plain values."""
        return {"best_loss": self.best_loss, "best_epoch": self.best_epoch, "wait": self.wait}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from what `state` gave."""
        self.best_loss, self.best_epoch, self.wait = state["best_loss"], state["best_epoch"], state["wait"]

    def __repr__(self) -> str:
        return f"EarlyStopping({asdict(self.config)}, {self.state()})"
