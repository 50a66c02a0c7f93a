"""One step of training after the other, with a state that can be written down at any of them."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from ffcore.data.collate import Batch
from ffcore.distributed import Processes
from ffcore.models.featherface import FeatherFace
from ffcore.training.config import TrainConfig
from ffcore.training.ema import ExponentialMovingAverage
from ffcore.training.health import DivergedError, Finding, examine, gradient_norm
from ffcore.training.objective import Objective, Outcome
from ffcore.training.soap import SOAP


@dataclass(frozen=True)
class StepReport:
    """What happened in one step.

    Args:
        step: Its number, from 0; a step takes one batch on every process.
        terms: Loss terms by name, ``total`` among them, of all processes together.
        measures: What else the objective measured.
        gradient_norm: Before clipping; None where gradients are only added up.
        rate: Learning rate.
        findings: What was unhealthy.
        images: The photos of the batch on this process.
    """

    step: int
    terms: dict[str, float]
    measures: dict[str, float]
    gradient_norm: float | None
    rate: float
    findings: tuple[Finding, ...]
    images: tuple[str, ...]


class Trainer:
    """Takes batches and improves a network.

    Args:
        objective: What is minimised; its network is trained in place, on `device`.
        config: Settings.
        batches_per_epoch: How many batches of this process make an epoch, 1 or more.
        device: Where it runs.
        processes: Who else takes part; each gives its own batches to its own trainer, at the same time.

    Attributes:
        objective: Likewise.
        config: Likewise; `rate_factor` changes it afterwards.
        step: Batches taken so far.
        rate_factor: By which every rate of the schedule is multiplied; 1 at first.
        average: The moving average of the weights; None where none is kept.
    """

    def __init__(
        self,
        objective: Objective,
        config: TrainConfig,
        *,
        batches_per_epoch: int,
        device: torch.device | str = "cpu",
        processes: Processes | None = None,
    ) -> None:
        self._device = torch.device(device)
        self._processes = processes or Processes()
        if self._processes.count > 1 and self._device.type == "cuda":
            nn.SyncBatchNorm.convert_sync_batchnorm(objective)  # type: ignore[no-untyped-call]
        self.objective = objective.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.config = config
        self.step = 0
        self.rate_factor = 1.0
        self.average = ExponentialMovingAverage(self.network, decay=config.ema) if config.ema else None
        self._batches = batches_per_epoch
        for stage in self._frozen_stages():
            stage.requires_grad_(False)
        self._parameters = [p for p in objective.parameters() if p.requires_grad]
        make = SOAP if config.optimizer == "soap" else torch.optim.AdamW
        self._optimizer = make(self._parameters, lr=config.rate, weight_decay=config.weight_decay)
        self._parallel: DistributedDataParallel | None = None
        if self._processes.count > 1:
            self._parallel = DistributedDataParallel(objective)

    @property
    def network(self) -> FeatherFace:
        """The network that is trained."""
        network: FeatherFace = self.objective.network
        return network

    def train_batch(self, batch: Batch) -> StepReport:
        """Takes one batch.

        Args:
            batch: Pictures of one size with their faces; the mean is subtracted on the device.

        Raises:
            DivergedError: The loss or a gradient is not a number, on whichever process. Parameters and
                optimizer are as before, but the running statistics have seen the batch: restore an earlier
                state before going on.
        """
        self.objective.train()
        for part in (self.objective,) if self.config.frozen_norm else self._frozen_stages():
            _hold_statistics(part)
        batch = batch.to(self._device, non_blocking=True)
        names = tuple(" + ".join(photos) for photos in batch.names)
        # an epoch that is no multiple ends with an update of fewer batches, so that what is saved between
        # epochs is whole
        epoch, number = divmod(self.step, self._batches)
        first = number - number % self.config.accumulate
        summed = min(self.config.accumulate, self._batches - first)
        last = number + 1 == first + summed
        with self._gradients_kept_here(unless=last):
            outcome: Outcome = (self._parallel or self.objective)(batch)
            terms, measures = self._of_all(outcome.terms), self._of_all(outcome.measures)
            if not math.isfinite(terms["total"]):
                self._optimizer.zero_grad()
                raise self._diverged(terms, names)
            (outcome.terms["total"] / summed).backward()  # type: ignore[no-untyped-call]

        per_epoch = math.ceil(self._batches / self.config.accumulate)
        update = epoch * per_epoch + number // self.config.accumulate
        rate = self.rate_factor * self.config.rate_at(update, steps_per_epoch=per_epoch)
        norm = None
        findings: list[Finding] = []
        if last:
            norm = gradient_norm(self._parameters)
            if not math.isfinite(norm):
                self._optimizer.zero_grad()
                raise self._diverged(terms, names, norm)
            self._update(rate, norm)
            findings = examine(self.step, terms, gradient_norm=norm)
        report = StepReport(self.step, terms, measures, norm, rate, tuple(findings), names)
        self.step += 1
        return report

    def state(self) -> dict[str, Any]:
        """Everything that decides how the training goes on: tensors and plain values only.

        Gradients are not in it, so it is whole only after a step with an update, see
        `StepReport.gradient_norm`.
        """
        return {
            "step": self.step,
            "rate_factor": self.rate_factor,
            "objective": self.objective.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "average": None if self.average is None else self.average.state(),
            "random": torch.get_rng_state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from what `state` gave, on the CPU as if nothing had happened (to the bit)."""
        self._optimizer.zero_grad()
        self.step, self.rate_factor = state["step"], state["rate_factor"]
        self.objective.load_state_dict(state["objective"])
        self._optimizer.load_state_dict(state["optimizer"])
        if self.average is not None and state["average"] is not None:
            self.average.restore(**state["average"])
        torch.set_rng_state(state["random"])

    def _frozen_stages(self) -> tuple[nn.Module, ...]:
        return self.network.backbone.stages[: self.config.frozen_stages]

    def _of_all(self, values: dict[str, Tensor]) -> dict[str, float]:
        """The mean over all processes; what is no number on one of them is none for all."""
        if not values:
            return {}
        here = torch.stack([value.detach().float() for value in values.values()])
        return dict(zip(values, self._processes.average(here).tolist(), strict=True))

    def _gradients_kept_here(self, *, unless: bool) -> AbstractContextManager[object]:
        """Gradients that are only added up need not travel to the other processes."""
        if self._parallel is None or unless:
            return nullcontext()
        return self._parallel.no_sync()

    def _diverged(
        self, terms: dict[str, float], names: tuple[str, ...], norm: float | None = None
    ) -> DivergedError:
        images = [name for part in self._processes.gather(names) for name in part]
        return DivergedError(self.step, terms=terms, gradient_norm=norm, images=images)

    def _update(self, rate: float, norm: float) -> None:
        """Clips and changes the weights."""
        if self.config.clip and norm > self.config.clip:
            for parameter in self._parameters:
                if parameter.grad is not None:
                    parameter.grad.mul_(self.config.clip / norm)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.step()
        self._optimizer.zero_grad()
        if self.average is not None:
            self.average.update()


def _hold_statistics(module: nn.Module) -> None:
    for part in module.modules():
        if isinstance(part, _BatchNorm):
            part.eval()
