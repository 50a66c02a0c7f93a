"""Learning rates as functions of progress: nothing is remembered, so a run resumes anywhere."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ffcore.errors import ConfigError


def cosine_rate(
    epoch: float, *, epochs: int, warmup: int = 5, maximum: float = 1e-3, minimum: float = 1e-6
) -> float:
    """Linear warm-up, then half a cosine down (the schedule of v2).

    Args:
        epoch: From 0; a fraction gives the rate within an epoch.
        epochs: Of the whole training.
        warmup: Epochs until the maximum; the first one already has a share of it.
        maximum: Rate after the warm-up.
        minimum: Rate that the end approaches.

    Raises:
        ConfigError: The warm-up is not shorter than the training.
    """
    if not 0 <= warmup < epochs:
        raise ConfigError(f"warmup = {warmup}: 0 or more and fewer than the {epochs} epochs are needed")
    if epoch < warmup:
        return maximum * (epoch + 1) / warmup
    progress = min((epoch - warmup) / (epochs - warmup), 1.0)
    return minimum + (maximum - minimum) * (1 + math.cos(math.pi * progress)) / 2


def onecycle_rate(
    step: int,
    *,
    steps: int,
    maximum: float = 1e-3,
    rise: float = 0.3,
    start_divisor: float = 25.0,
    end_divisor: float = 1e4,
) -> float:
    """One cycle: a cosine up and a longer one down (Smith and Topin 2017, as in torch's OneCycleLR).

    Args:
        step: From 0 to `steps` − 1.
        steps: Of the whole training.
        maximum: Highest rate.
        rise: Share of the steps that go up.
        start_divisor: The first rate is the maximum divided by this.
        end_divisor: The last rate is the first one divided by this.

    Raises:
        ConfigError: There are fewer than two steps, or the rise is no share.
    """
    if steps < 2 or not 0 < rise < 1:
        raise ConfigError(f"one cycle of {steps} steps with a rise of {rise} cannot be")
    first, last = maximum / start_divisor, maximum / start_divisor / end_divisor
    peak, end = rise * steps - 1, steps - 1
    if step <= peak:
        return _cosine_between(first, maximum, step / peak)
    return _cosine_between(maximum, last, min((step - peak) / (end - peak), 1.0))


def multistep_rate(
    epoch: float, *, maximum: float = 1e-3, milestones: Sequence[int] = (190, 220), factor: float = 0.1
) -> float:
    """A rate that falls by a factor at each milestone (the schedule of RetinaFace).

    Args:
        epoch: From 0.
        maximum: Rate before the first milestone.
        milestones: Epochs at which it falls.
        factor: By which it falls.
    """
    return maximum * factor ** sum(epoch >= milestone for milestone in milestones)


def trapezoid_rate(step: int, *, steps: int, warmup: int, decay: float, maximum: float) -> float:
    """Linear up, level, then half a cosine down to zero.

    While it is level nothing depends on the length of the training, which can so be made longer in the middle
    of it (Hägele et al. 2024, Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations).

    Args:
        step: From 0 to `steps` − 1.
        steps: Of the whole training.
        warmup: Steps until the maximum.
        decay: Share of all steps, at the end, in which the rate falls.
        maximum: Rate while it is level.
    """
    falling = max(1, round(decay * steps))
    rate = maximum * min(1.0, (step + 1) / warmup) if warmup else maximum
    done = max(0, step + 1 - (steps - falling)) / falling
    return min(rate, _cosine_between(maximum, 0.0, min(done, 1.0)))


def _cosine_between(start: float, end: float, progress: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2
