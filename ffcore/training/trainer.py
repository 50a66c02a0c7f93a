"""One step of training after the other, with a state that can be written down at any of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ffcore.data.collate import Batch
from ffcore.geometry.resize import MEAN_BGR
from ffcore.losses.anchor_grid import AnchorGrid
from ffcore.losses.multibox import MultiBoxLoss
from ffcore.models.blocks.heads import RawOutputs
from ffcore.models.featherface import FeatherFace
from ffcore.training.config import TrainConfig
from ffcore.training.ema import ExponentialMovingAverage
from ffcore.training.health import DivergedError, Finding, examine, gradient_norm


@dataclass(frozen=True)
class StepReport:
    """What happened in one step.

    Args:
        step: Its number, from 0; a step takes one batch.
        terms: Loss terms by name, ``total`` among them.
        gradient_norm: Before clipping; None where gradients are only added up.
        rate: Learning rate.
        findings: What was unhealthy.
    """

    step: int
    terms: dict[str, float]
    gradient_norm: float | None
    rate: float
    findings: tuple[Finding, ...]


class Trainer:
    """Takes batches and improves a network.

    Args:
        network: Trained in place, on `device`.
        config: Settings.
        batches_per_epoch: How many batches make an epoch, 1 or more.
        loss: What is minimised.
        device: Where it runs.

    Attributes:
        step: Batches taken so far.
        average: The moving average of the weights; None where none is kept.
    """

    def __init__(
        self,
        network: FeatherFace,
        config: TrainConfig,
        *,
        batches_per_epoch: int,
        loss: MultiBoxLoss | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.network = network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.config = config
        self.step = 0
        self.average = ExponentialMovingAverage(network, decay=config.ema) if config.ema else None
        self._loss = loss or MultiBoxLoss()
        self._device = torch.device(device)
        self._steps_per_epoch = max(1, batches_per_epoch // config.accumulate)
        self._mean = torch.tensor(MEAN_BGR, dtype=torch.float32, device=device).view(3, 1, 1)
        self._grids: dict[tuple[int, int], AnchorGrid] = {}
        self._optimizer = torch.optim.AdamW(
            network.parameters(), lr=config.rate, weight_decay=config.weight_decay
        )

    def train_batch(self, batch: Batch) -> StepReport:
        """Takes one batch.

        Args:
            batch: Pictures of one size with their faces; the mean is subtracted on the device.

        Raises:
            DivergedError: The loss or a gradient is not a number. Parameters and optimizer are as before,
                but the running statistics have seen the batch: restore an earlier state before going on.
        """
        self.network.train()
        batch = batch.to(self._device)
        names = [" + ".join(photos) for photos in batch.names]
        outputs = self._forward(batch.images)
        grid = self._grid(batch.images.shape[2], batch.images.shape[3])
        terms = self._loss(outputs, batch.targets, grid, weights=batch.weights, ignored=batch.ignored)
        values = {name: float(value.detach()) for name, value in terms._asdict().items()}
        if not math.isfinite(values["total"]):
            self._optimizer.zero_grad()
            raise DivergedError(self.step, terms=values, gradient_norm=None, images=names)
        (terms.total / self.config.accumulate).backward()  # type: ignore[no-untyped-call]

        update = self.step // self.config.accumulate
        rate = self.config.rate_at(update, steps_per_epoch=self._steps_per_epoch)
        norm = None
        findings: list[Finding] = []
        if (self.step + 1) % self.config.accumulate == 0:
            norm = self._update(rate, values, names)
            findings = examine(self.step, values, gradient_norm=norm)
        report = StepReport(self.step, values, norm, rate, tuple(findings))
        self.step += 1
        return report

    def state(self) -> dict[str, Any]:
        """Everything that decides how the training goes on: tensors and plain values only."""
        return {
            "step": self.step,
            "network": self.network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "average": None if self.average is None else self.average.state(),
            "random": torch.get_rng_state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from what `state` gave, on the CPU as if nothing had happened (to the bit)."""
        self.step = state["step"]
        self.network.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
        if self.average is not None and state["average"] is not None:
            self.average.restore(**state["average"])
        torch.set_rng_state(state["random"])

    def _forward(self, images: Tensor) -> RawOutputs:
        pixels = images.float().sub_(self._mean)
        with torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self.config.amp):
            outputs: RawOutputs = self.network(pixels)
        return outputs

    def _grid(self, height: int, width: int) -> AnchorGrid:
        if (height, width) not in self._grids:
            self._grids[height, width] = AnchorGrid.of(height, width, device=self._device)
        return self._grids[height, width]

    def _update(self, rate: float, terms: dict[str, float], names: Sequence[str]) -> float:
        """Clips, changes the weights, and gives the norm before clipping."""
        norm = gradient_norm(self.network.parameters())
        if not math.isfinite(norm):
            self._optimizer.zero_grad()
            raise DivergedError(self.step, terms=terms, gradient_norm=norm, images=names)
        if self.config.clip and norm > self.config.clip:
            for parameter in self.network.parameters():
                if parameter.grad is not None:
                    parameter.grad.mul_(self.config.clip / norm)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.step()
        self._optimizer.zero_grad()
        if self.average is not None:
            self.average.update()
        return norm
