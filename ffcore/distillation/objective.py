"""A student between its labels and its teacher."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ffcore.data.collate import Batch
from ffcore.distillation.alpha import AlphaSchedule
from ffcore.distillation.config import DistillationConfig
from ffcore.distillation.features import FeatureAdapters, feature_loss, matched_maps
from ffcore.distillation.losses import agreement, distillation_losses, face_logits
from ffcore.distillation.teacher import Lesson, Teacher
from ffcore.distributed import Processes
from ffcore.errors import ConfigError
from ffcore.losses.multibox import LossTerms, MultiBoxConfig
from ffcore.models.featherface import FeatherFace, Features
from ffcore.training.objective import ForwardConfig, Objective, Outcome


class DistillationObjective(Objective):
    """``(1 − α)·task + α·distill + w·feature`` on batches that student and teacher see alike.

    Until `DistillationConfig.start_epoch` the task alone counts and the teacher is not asked. Photos without
    labels bring nothing but the teacher's terms. The adapters of feature matching are submodules: they learn
    and are in the state, not in the network. The teacher is neither.

    Args:
        network: The student, trained in place.
        teacher: Whom it learns from.
        loss: Of the task; the published one when None.
        distillation: What of the teacher counts, and how much.
        config: How the student is run.
        processes: Who else takes part in a training; the terms are divided by counts of all of them.

    Attributes:
        alpha: α of the epoch; 0 as long as the teacher is not asked.

    Raises:
        ConfigError: Features are to be matched, and the teacher gives none.
    """

    def __init__(
        self,
        network: FeatherFace,
        teacher: Teacher,
        *,
        loss: MultiBoxConfig | None = None,
        distillation: DistillationConfig | None = None,
        config: ForwardConfig | None = None,
        processes: Processes | None = None,
    ) -> None:
        super().__init__(network, loss, config=config, processes=processes)
        self.distillation = distillation or DistillationConfig()
        if self.distillation.feature_weight and not teacher.gives_features:
            raise ConfigError(
                f"feature_weight = {self.distillation.feature_weight}: this teacher gives no features; "
                "take TorchTeacher, or feature_weight = 0"
            )
        self.adapters = (
            FeatureAdapters.between(network, teacher.network) if self.distillation.feature_weight else None
        )
        self.schedule = AlphaSchedule(self.distillation.alpha)
        self._teacher = teacher
        self._processes = processes or Processes()
        self.start_epoch(0, loss=None)

    def start_epoch(self, epoch: int, *, loss: float | None) -> Mapping[str, float]:
        """Sets α for an epoch; see `Objective.start_epoch`."""
        alpha = self.schedule.alpha(epoch, loss)
        self.alpha = alpha if epoch >= self.distillation.start_epoch else 0.0
        return {"alpha": self.alpha}

    def forward(self, batch: Batch) -> Outcome:
        """The terms of a batch on the device of the network.

        Terms: ``total``; ``task`` with its parts ``box``, ``classification``, ``landmark``; ``distill``
        with its parts, each under ``distill_…`` and before its factor; ``feature``. Measures: ``alpha``, and
        ``agreement``, the share of the teacher's faces that are the student's too. What belongs to the
        teacher is missing while it is not asked.
        """
        pixels = self.pixels(batch)
        outputs, features = self.run(pixels)
        alpha = pixels.new_tensor(self.alpha)
        if not self.alpha:
            task = self.task(batch, outputs)
            total = task.total
            if self.adapters is not None and self.training:
                total = total + self.adapters.unused()
            return Outcome(terms={**_named(task), "total": total}, measures={"alpha": alpha})

        lesson = self._teacher(pixels, features=self.adapters is not None)
        task = self.task(batch, outputs, neutral=self._certain(lesson))
        settings = self.distillation
        parts = distillation_losses(
            outputs,
            lesson.outputs,
            normalize=settings.normalize,
            temperature=settings.temperature,
            gamma=settings.focal_gamma,
            importance=self.grid(batch).importance(self.loss.size_balance + settings.size_balance),
            # a validation may run on one process alone
            processes=self._processes if self.training else None,
        )
        distill = (
            settings.class_weight * parts.classification
            + settings.box_weight * parts.box
            + settings.landmark_weight * parts.landmark
        )
        terms = {
            **_named(task),
            **{f"distill_{name}": value for name, value in parts._asdict().items()},
            "distill": distill,
        }
        total = (1 - self.alpha) * task.total + self.alpha * distill
        if self.adapters is not None:
            terms["feature"] = self._feature(pixels, features, lesson)
            total = total + settings.feature_weight * terms["feature"]
        measures = {"alpha": alpha, "agreement": agreement(outputs, lesson.outputs)}
        return Outcome(terms={**terms, "total": total}, measures=measures)

    def get_extra_state(self) -> dict[str, Any]:
        """What the state holds besides tensors: where α stands."""
        return {"alpha": self.alpha, **self.schedule.state()}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Goes on from what `get_extra_state` gave."""
        self.alpha = state["alpha"]
        self.schedule.restore(state)

    def _certain(self, lesson: Lesson) -> Tensor | None:
        """(B, A) bool: where the teacher objects to background; None when it is not heard."""
        if not self.distillation.teacher_ignore:
            return None
        return torch.sigmoid(face_logits(lesson.outputs)) >= self.distillation.teacher_ignore

    def _feature(self, pixels: Tensor, features: Features, lesson: Lesson) -> Tensor:
        assert self.adapters is not None
        assert lesson.features is not None
        with self.autocast(pixels):
            adapted = self.adapters(features)
        return feature_loss(adapted, matched_maps(lesson.features), norm=self.distillation.feature_norm)


def _named(task: LossTerms) -> dict[str, Tensor]:
    """The terms of the task by name, their sum as ``task``."""
    return {"task" if name == "total" else name: value for name, value in task._asdict().items()}
