"""Everything that decides a distillation: a training run, a teacher, and what of it counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from ffcore.config.layers import Layer, Resolved, resolve
from ffcore.config.settings import check_choices
from ffcore.distillation.config import DistillationConfig
from ffcore.distillation.joint import Together
from ffcore.errors import ConfigError
from ffcore.training.run_config import ModelConfig, RunConfig, fitted

TeacherRuntime = Literal["auto", "torch", "onnxruntime"]

FROM_TEACHER = "teacher"
"""As `ModelConfig.backbone`: the student begins with the backbone of its teacher."""


@dataclass(frozen=True, kw_only=True)
class TeacherConfig:
    """Whom the student learns from."""

    weights: tuple[str, ...] = ()
    """Files of weights in any published layout. Maps, and the backbone that the student begins with, are
    those of the first."""
    together: Together = "mean"
    """How several teach: "mean", by the mean of what they say, or "turns", one of them a batch; see
    `JointTeacher`."""
    small_faces: str = ""
    """File of a YuNet, which then teaches faces below 45 pixels; see `SmallFaceTeacher`."""
    runtime: TeacherRuntime = "auto"
    """What runs it; "auto" takes ONNX Runtime on a CPU when no features are matched, which is faster."""

    def __post_init__(self) -> None:
        check_choices(self, {"runtime": get_args(TeacherRuntime), "together": get_args(Together)})


@dataclass(frozen=True, kw_only=True)
class DistillationRunConfig(RunConfig):
    """One distillation.

    Raises:
        ConfigError: As for `RunConfig`, or maps are to be matched under teachers that take turns.
    """

    model: ModelConfig = field(default_factory=lambda: ModelConfig(name="v2", backbone=FROM_TEACHER))
    teacher: TeacherConfig = field(default_factory=TeacherConfig)
    distillation: DistillationConfig = field(default_factory=DistillationConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.teacher.together == "turns" and self.distillation.feature_weight:
            raise ConfigError(
                "teacher.together = 'turns': such teachers give no features to match; "
                "distillation.feature_weight = 0 is needed as well"
            )


def resolve_distillation(layers: Sequence[Layer]) -> Resolved[DistillationRunConfig]:
    """A distillation from layers; see `resolve_run`.

    α goes over as many epochs as the training has, unless a layer says otherwise.
    """
    chosen = fitted(layers)
    epochs = resolve(DistillationRunConfig(), chosen).config.train.epochs
    return resolve(
        DistillationRunConfig(), [Layer("train.epochs", {"distillation.alpha.epochs": epochs}), *chosen]
    )
