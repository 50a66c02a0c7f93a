"""What makes forward and backward of v2 cheaper: held statistics of BatchNorm, a frozen stage, bfloat16.

    python benchmarks/cheaper_step.py [--network v2] [--batch 8] [--size 640] [--threads 1] [--rounds 10]

The same weights run all forms, which take turns; medians and ratios are printed. Held statistics are joined
with the convolutions, as in training, or stay apart; ordinary training takes the statistics of the batch.
"""

from __future__ import annotations

import argparse
import copy
import platform
import statistics
import time

import torch
from torch import Tensor

from ffcore.models.blocks.conv import ConvNorm
from ffcore.models.featherface import FeatherFace, build_network
from ffcore.models.variants import variant_config
from ffcore.training.cpu import settings_for_training


def main() -> None:
    """Runs the comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--network", default="v2")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", type=int, default=640)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    start = build_network(variant_config(options.network)).to(memory_format=torch.channels_last)
    images = 255 * torch.rand(options.batch, 3, options.size, options.size) - 110
    images = images.contiguous(memory_format=torch.channels_last)
    plain, held = copy.deepcopy(start), _held(start)
    forms = {  # and whether in bfloat16
        "statistics of the batch": (plain, False),
        "statistics of the batch, bfloat16": (plain, True),
        "held, apart": (_apart(_held(start)), False),
        "held, joined": (held, False),
        "held, joined, bfloat16": (held, True),
        "held, apart, first stage frozen": (_frozen(_apart(_held(start))), False),
        "held, joined, first stage frozen": (_frozen(_held(start)), False),
    }
    times: dict[str, list[float]] = {name: [] for name in forms}
    with settings_for_training():
        for turn in range(options.rounds + 1):
            for name, (network, amp) in forms.items():
                spent = _step(network, images, amp=amp)
                if turn:  # the first round warms up
                    times[name].append(spent)

    print(f"torch {torch.__version__}, {options.threads} threads, {platform.machine()}, {options.network}")
    print(f"{options.batch} images of {options.size} pixels, {options.rounds} rounds")
    medians = {name: 1e3 * statistics.median(spent) for name, spent in times.items()}
    for name, median in medians.items():
        print(f"{name:34} {median:8.0f} ms")
    pairs = {
        "joined / apart": ("held, joined", "held, apart"),
        "joined / apart, first stage frozen": (
            "held, joined, first stage frozen",
            "held, apart, first stage frozen",
        ),
        "bfloat16 / float32": ("statistics of the batch, bfloat16", "statistics of the batch"),
        "bfloat16 / float32, held": ("held, joined, bfloat16", "held, joined"),
    }
    for title, (one, other) in pairs.items():
        ratio = statistics.median(a / b for a, b in zip(times[one], times[other], strict=True))
        print(f"ratio {title}: {ratio:.2f}")


def _held(network: FeatherFace) -> FeatherFace:
    network = copy.deepcopy(network)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    return network


def _apart(network: FeatherFace) -> FeatherFace:
    """The network with convolution and normalisation as two passes."""

    def two_passes(unit: ConvNorm, x: Tensor) -> Tensor:
        y: Tensor = unit.activation(unit.bn(unit.conv(x)))
        return y

    for module in network.modules():
        if isinstance(module, ConvNorm):
            module.forward = two_passes.__get__(module)  # type: ignore[method-assign]
    return network


def _frozen(network: FeatherFace) -> FeatherFace:
    network.backbone.stages[0].requires_grad_(False)
    return network


def _step(network: FeatherFace, images: Tensor, *, amp: bool) -> float:
    """Seconds of forward and backward."""
    begin = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=amp):
        outputs = network(images)
    sum(value.float().square().mean() for value in outputs).backward()
    network.zero_grad()
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
