"""In what ``train`` and ``distill`` differ; all else they share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ffcore.config.layers import Layer, Resolved
from ffcore.distillation.job import distill
from ffcore.distillation.run_config import DistillationRunConfig, resolve_distillation
from ffcore.training.job import TrainingResult, train
from ffcore.training.run_config import RunConfig, resolve_run


@dataclass(frozen=True)
class RunKind:
    """One way to train.

    Args:
        command: Its name.
        defaults: What is trained when nothing is said.
        resolve: Makes such a configuration from layers.
        start: Trains, in the manner of `ffcore.training.job.train`.
    """

    command: str
    defaults: RunConfig
    resolve: Callable[[Sequence[Layer]], Resolved[Any]]
    start: Callable[..., TrainingResult]


TRAIN = RunKind("train", RunConfig(), resolve_run, train)
DISTILL = RunKind("distill", DistillationRunConfig(), resolve_distillation, distill)
