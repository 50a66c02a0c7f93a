"""A training step of v1 with our deformable convolution against one with torchvision's, in one run.

    python benchmarks/train_step.py [--network v1] [--batch 8] [--size 640] [--threads 2] [--rounds 5]

A step is forward, loss with 20 faces an image, backward and AdamW. The two networks start alike and take
turns; medians and their ratio are printed. Sampling points are spread as in a trained network, not on whole
cells as in a fresh one. Ours has the memory layout of the trainer (channels last), torchvision's the usual
one, since its kernel copies anything else.
"""

from __future__ import annotations

import argparse
import copy
import platform
import statistics
import time
from itertools import pairwise

import torch

from ffcore.losses import AnchorGrid, MultiBoxLoss, Targets
from ffcore.models.blocks.deform_conv import DeformableUnit
from ffcore.models.blocks.torchvision_ops import torchvision_deform_conv2d
from ffcore.models.featherface import FeatherFace, build_network
from ffcore.models.variants import variant_config

PARTS = ("forward", "loss", "backward", "AdamW")


def main() -> None:
    """Runs the comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--network", default="v1")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", type=int, default=640)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    kernel = torchvision_deform_conv2d()
    if kernel is None:
        parser.error("torchvision does not load, so there is nothing to compare with")

    ours = build_network(variant_config(options.network))
    for module in ours.modules():
        if isinstance(module, DeformableUnit):
            torch.nn.init.normal_(module.offset_conv.weight, std=0.02)
    theirs = copy.deepcopy(ours)
    units = [module for module in theirs.modules() if isinstance(module, DeformableUnit)]
    for unit in units:
        unit.operator = kernel
    images = 255 * torch.rand(options.batch, 3, options.size, options.size) - 110
    targets = Targets.from_rows([_faces(20) for _ in range(options.batch)])
    grid, loss = AnchorGrid.of(options.size, options.size), MultiBoxLoss()
    contestants = {
        "ours": Step(ours, images, memory_format=torch.channels_last),
        "torchvision": Step(theirs, images, memory_format=torch.contiguous_format),
    }
    times: dict[str, list[list[float]]] = {name: [] for name in contestants}
    totals = {}
    for turn in range(options.rounds + 1):
        for name, step in contestants.items():
            spent, total = step.run(targets, grid, loss)
            if turn:  # the first round warms up
                times[name].append(spent)
            else:
                totals[name] = total

    print(f"torch {torch.__version__}, {options.threads} threads, {platform.machine()}, {options.network}")
    print(f"{options.batch} images of {options.size} pixels, {len(units)} deformable units; losses at first:")
    print(", ".join(f"{name} {total:.5f}" for name, total in totals.items()))
    medians = {}
    for name, rounds in times.items():
        parts = [1e3 * statistics.median(values) for values in zip(*rounds, strict=True)]
        medians[name] = 1e3 * statistics.median(sum(spent) for spent in rounds)
        shown = ", ".join(f"{part} {value:.0f}" for part, value in zip(PARTS, parts, strict=True))
        print(f"{name:12} {medians[name]:8.0f} ms a step: {shown}")
    print(f"ratio ours / torchvision: {medians['ours'] / medians['torchvision']:.2f}")


class Step:
    """Takes one step after the other with a network.

    Args:
        network: Trained in place.
        images: (B, 3, H, W) float32.
        memory_format: Of both.
    """

    def __init__(
        self, network: FeatherFace, images: torch.Tensor, *, memory_format: torch.memory_format
    ) -> None:
        self._network = network.to(memory_format=memory_format)
        self._images = images.contiguous(memory_format=memory_format)
        self._optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)

    def run(self, targets: Targets, grid: AnchorGrid, loss: MultiBoxLoss) -> tuple[list[float], float]:
        """Seconds of the parts of one step, and its loss."""
        moments = [time.perf_counter()]
        outputs = self._network(self._images)
        moments.append(time.perf_counter())
        total = loss(outputs, targets, grid).total
        moments.append(time.perf_counter())
        total.backward()  # type: ignore[no-untyped-call]
        moments.append(time.perf_counter())
        self._optimizer.step()
        self._optimizer.zero_grad()
        moments.append(time.perf_counter())
        return [end - start for start, end in pairwise(moments)], float(total.detach())


def _faces(count: int) -> torch.Tensor:
    low, sides = 0.9 * torch.rand(count, 2), 0.01 + 0.1 * torch.rand(count, 2)
    points = (low[:, None] + sides[:, None] * torch.rand(count, 5, 2)).flatten(1)
    return torch.cat([low, low + sides, points, torch.ones(count, 1)], dim=1)


if __name__ == "__main__":
    main()
