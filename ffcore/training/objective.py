"""What a training minimises: a network and its loss as one module that takes batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from ffcore.data.collate import Batch
from ffcore.distributed import Processes
from ffcore.errors import ConfigError
from ffcore.geometry.resize import MEAN_BGR
from ffcore.losses.anchor_grid import AnchorGrid
from ffcore.losses.multibox import LossTerms, MultiBoxConfig, MultiBoxLoss
from ffcore.models.blocks.dropblock import DropBlock
from ffcore.models.blocks.heads import RawOutputs
from ffcore.models.featherface import FeatherFace, Features


class Outcome(NamedTuple):
    """What an objective says of a batch."""

    terms: dict[str, Tensor]
    """Loss terms by name, scalars; ``total`` among them is what is minimised."""
    measures: dict[str, Tensor]
    """What else is worth a line in the record, scalars without gradient; often nothing."""


@dataclass(frozen=True, kw_only=True)
class ForwardConfig:
    """How the network is run in training; all but `dropblock` changes what is learnt by rounding at most.

    Raises:
        ConfigError: A value is out of its range.
    """

    amp: bool = False
    """Mixed precision in bfloat16, whose range needs no scaling of the loss."""
    recompute: bool = False
    """Activations are computed again on the way back instead of kept: less memory, a third more time."""
    compile: bool = False
    """Whether torch.compile makes one program of the network; it takes minutes before the first step."""
    dropblock: float = 0.0
    """Share of the pyramid's cells that are left out in patches of 3×3 (0.1 in the documents), below 1."""

    def __post_init__(self) -> None:
        if not 0 <= self.dropblock < 1:
            raise ConfigError(f"dropblock = {self.dropblock}: a share from 0 to less than 1 is needed")


class Objective(nn.Module, ABC):
    """Base of objectives; it holds the network, so that its parameters and the loss travel together.

    Whatever else has parameters to train, an adapter say, is a submodule too. `forward` is a whole step up to
    the loss, so that DistributedDataParallel can stand around it.

    Args:
        network: What is trained.
        loss: How its outputs are compared with labelled faces; the published loss when None.
        config: How it is run.
        processes: Among which batches are divided, so that the loss is that of all of them together. In
            evaluation mode, each process is on its own.

    Attributes:
        network: Likewise.
        loss: Settings of the loss.
    """

    def __init__(
        self,
        network: FeatherFace,
        loss: MultiBoxConfig | None = None,
        *,
        config: ForwardConfig | None = None,
        processes: Processes | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.config = config or ForwardConfig()
        self.loss = loss or MultiBoxConfig()
        self._shared, self._alone = MultiBoxLoss(self.loss, processes=processes), MultiBoxLoss(self.loss)
        self.register_buffer("mean", torch.tensor(MEAN_BGR).view(3, 1, 1), persistent=False)
        self._grids: dict[tuple[int, int, torch.device], AnchorGrid] = {}
        if self.config.dropblock:
            drop = DropBlock(self.config.dropblock)

            def left_out(module: nn.Module, _: object, maps: list[Tensor]) -> list[Tensor]:
                return [drop.train(module.training)(x) for x in maps]

            network.pyramid_attention.register_forward_hook(left_out)
        self._whole = torch.compile(_whole) if self.config.compile else _whole

    @abstractmethod
    def forward(self, batch: Batch) -> Outcome:
        """The terms of a batch on the device of the network."""

    def start_epoch(self, epoch: int, *, loss: float | None) -> Mapping[str, float]:  # noqa: ARG002
        """Called before each epoch.

        Args:
            epoch: From 0.
            loss: Of the last validation, where there was one since the last call.

        Returns:
            Settings that this epoch has, for the record; nothing by default.
        """
        return {}

    def pixels(self, batch: Batch) -> Tensor:
        """(B, 3, S, S) float32: the pictures as the network wants them."""
        mean: Tensor = self.mean  # type: ignore[assignment]
        return batch.images.to(torch.float32).sub_(mean)

    def grid(self, batch: Batch) -> AnchorGrid:
        """The anchors of a batch."""
        height, width = batch.images.shape[2:]
        key = (height, width, batch.images.device)
        if key not in self._grids:
            self._grids[key] = AnchorGrid.of(height, width, device=batch.images.device)
        return self._grids[key]

    def task(self, batch: Batch, outputs: RawOutputs, *, neutral: Tensor | None = None) -> LossTerms:
        """The loss against the labels.

        Args:
            batch: The pictures and their faces.
            outputs: Of the network for them.
            neutral: (B, A) bool: anchors that are no background, besides those of photos without labels.
        """
        unlabelled = self.neutral(batch)
        if unlabelled is not None:
            neutral = unlabelled if neutral is None else neutral | unlabelled
        loss = self._shared if self.training else self._alone
        return loss(
            outputs,
            batch.targets,
            self.grid(batch),
            weights=batch.weights,
            ignored=batch.ignored,
            neutral=neutral,
        )

    def neutral(self, batch: Batch) -> Tensor | None:
        """(B, A) bool: anchors that are not background though no face is labelled there; None for none."""
        if batch.labelled is None:
            return None
        return ~batch.labelled[:, None].expand(-1, len(self.grid(batch)))

    def run(self, pixels: Tensor) -> tuple[RawOutputs, Features]:
        """Runs the network as the settings say, with what it computes on its way."""
        with self.autocast(pixels):
            if self.config.recompute and torch.is_grad_enabled():
                return recomputed(self.network, pixels)
            return self._whole(self.network, pixels)

    def autocast(self, pixels: Tensor) -> AbstractContextManager[object]:
        """Mixed precision, where it is wanted, for everything that runs on these pixels."""
        return torch.autocast(pixels.device.type, dtype=torch.bfloat16, enabled=self.config.amp)


class DetectionObjective(Objective):
    """Raw outputs against labelled faces."""

    def forward(self, batch: Batch) -> Outcome:
        """The terms of a batch on the device of the network."""
        outputs, _ = self.run(self.pixels(batch))
        return Outcome(terms=dict(self.task(batch, outputs)._asdict()), measures={})


def _whole(network: FeatherFace, pixels: Tensor) -> tuple[RawOutputs, Features]:
    """The network in one go."""
    features = network.features(pixels)
    return network.heads(features.context), features


def recomputed(network: FeatherFace, pixels: Tensor) -> tuple[RawOutputs, Features]:
    """Runs a network stage by stage and keeps only what goes from one stage to the next.

    Args:
        network: In training mode.
        pixels: (B, 3, H, W) float.

    Source: Chen et al. 2016, Training Deep Nets with Sublinear Memory Cost, section 3.
    """

    def stage(module: nn.Module, x: object) -> Any:
        return checkpoint(
            module, x, use_reentrant=False, context_fn=lambda: (nullcontext(), _frozen_statistics(module))
        )

    backbone: list[Tensor] = stage(network.backbone, pixels)
    pyramid: list[Tensor] = stage(network.neck, stage(network.backbone_attention, backbone))
    pyramid = stage(network.pyramid_attention, pyramid)
    context = [stage(ssh, x) for ssh, x in zip(network.context, pyramid, strict=True)]
    context = stage(network.context_attention, context)
    context = [stage(shuffle, x) for shuffle, x in zip(network.shuffle, context, strict=True)]
    return network.heads(context), Features(backbone=backbone, pyramid=pyramid, context=context)


@contextmanager
def _frozen_statistics(module: nn.Module) -> Iterator[None]:
    """Within it, BatchNorm normalises by the batch as ever, but its running statistics stay.

    They have seen the batch the first time; the second run must not count it twice.
    """
    norms = [m for m in module.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    before = [(m.momentum, m.num_batches_tracked.clone()) for m in norms if m.num_batches_tracked is not None]
    for m in norms:
        m.momentum = 0.0
    try:
        yield
    finally:
        for m, (momentum, tracked) in zip(norms, before, strict=True):
            m.momentum = momentum
            m.num_batches_tracked = tracked
