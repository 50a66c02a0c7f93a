"""Networks as torch modules."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ffcore.detection.backend import AroundNetwork, RawOutputs
from ffcore.detection.facts import DetectorFacts
from ffcore.errors import ConfigError, MissingDependencyError, ModelError, one_line

if TYPE_CHECKING:
    from torch import nn


class TorchBackend:
    """A torch network in evaluation mode.

    Args:
        network: Takes (B, 3, H, W) float32, channels as the facts say, mean subtracted; returns raw
            ``(boxes, logits, landmarks)`` of shapes (B, A, 4), (B, A, 2), (B, A, 10). It is moved to
            the device, not copied.
        device: "auto" takes CUDA where torch sees it; otherwise any name that torch knows.
        threads: Threads of torch's CPU operations. This is a setting of the whole process, so it is
            only touched when given.
        facts: Preprocessing and anchors; the published ones by default.

    Raises:
        ConfigError: The device is unknown, the number of threads impossible or the network is in
            training mode.
        MissingDependencyError: The device is not available to this torch.
    """

    name = "torch"
    input_size: tuple[int, int] | None = None
    around_network: AroundNetwork = nullcontext

    def __init__(
        self,
        network: nn.Module,
        *,
        device: str = "auto",
        threads: int | None = None,
        facts: DetectorFacts | None = None,
    ) -> None:
        import torch

        if network.training:
            raise ConfigError("the network is in training mode; call .eval() before detecting with it")
        if threads is not None:
            if threads < 1:
                raise ConfigError(f"the number of threads must be at least 1, got {threads}")
            torch.set_num_threads(threads)
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            self._device = torch.device(device)
        except RuntimeError as error:
            raise ConfigError(f"{device!r} is no device of torch: {one_line(error)}") from None
        try:
            # Depthwise convolutions, most of these networks, are faster with channels last.
            self._network = network.to(device=self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            raise MissingDependencyError(f"torch cannot use the device {device}: {one_line(error)}") from None
        self._facts = facts or DetectorFacts()

    @property
    def device(self) -> str:
        """What really computes."""
        return str(self._device)

    @property
    def facts(self) -> DetectorFacts:
        """Preprocessing and anchors."""
        return self._facts

    def run(self, batch: NDArray[np.uint8]) -> RawOutputs:
        """Run the network; see `ffcore.detection.backend.Backend.run`."""
        import torch

        with torch.inference_mode():
            pixels = torch.from_numpy(np.ascontiguousarray(batch)).to(self._device)
            if self._facts.channel_order == "RGB":
                pixels = pixels.flip(-1)
            # A permuted view of B H W C is channels last already.
            images = (pixels.float() - torch.tensor(self._facts.mean, device=self._device)).permute(
                0, 3, 1, 2
            )
            try:
                with self.around_network():
                    boxes, logits, landmarks = self._network(images)
            except RuntimeError as error:  # out of memory, mostly
                shape = " x ".join(map(str, batch.shape[:3]))
                raise ModelError(
                    f"torch failed on {shape} pixels on {self.device}: {one_line(error)}"
                ) from error
            return RawOutputs(
                boxes=boxes.float().cpu().numpy(),
                scores=logits.float().softmax(-1)[..., 1].cpu().numpy(),
                landmarks=landmarks.float().cpu().numpy(),
            )
