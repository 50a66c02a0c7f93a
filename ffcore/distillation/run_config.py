"""Everything that decides a distillation: a training run, a teacher, and what of it counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from ffcore.config.layers import Layer, Resolved, resolve
from ffcore.config.settings import check_choices
from ffcore.distillation.config import DistillationConfig
from ffcore.training.run_config import ModelConfig, RunConfig, fitted

TeacherRuntime = Literal["auto", "torch", "onnxruntime"]

FROM_TEACHER = "teacher"
"""As `ModelConfig.backbone`: the student begins with the backbone of its teacher."""


@dataclass(frozen=True, kw_only=True)
class TeacherConfig:
    """Whom the student learns from."""

    weights: tuple[str, ...] = ()
    """Files of weights in any published layout. Of several the mean of what they say teaches
    (`JointTeacher`); maps, and the backbone that the student begins with, are those of the first."""
    runtime: TeacherRuntime = "auto"
    """What runs it; "auto" takes ONNX Runtime on a CPU when no features are matched, which is faster."""

    def __post_init__(self) -> None:
        check_choices(self, {"runtime": get_args(TeacherRuntime)})


@dataclass(frozen=True, kw_only=True)
class DistillationRunConfig(RunConfig):
    """One distillation."""

    model: ModelConfig = field(default_factory=lambda: ModelConfig(name="v2", backbone=FROM_TEACHER))
    teacher: TeacherConfig = field(default_factory=TeacherConfig)
    distillation: DistillationConfig = field(default_factory=DistillationConfig)


def resolve_distillation(layers: Sequence[Layer]) -> Resolved[DistillationRunConfig]:
    """A distillation from layers; see `resolve_run`.

    α goes over as many epochs as the training has, unless a layer says otherwise.
    """
    chosen = fitted(layers)
    epochs = resolve(DistillationRunConfig(), chosen).config.train.epochs
    return resolve(
        DistillationRunConfig(), [Layer("train.epochs", {"distillation.alpha.epochs": epochs}), *chosen]
    )
