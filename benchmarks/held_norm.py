"""Forward and backward of v2 with held statistics of BatchNorm: joined with the convolutions against apart.

    python benchmarks/held_norm.py [--network v2] [--batch 8] [--size 640] [--threads 1] [--rounds 10]

The same weights run all forms, which take turns; medians and ratios are printed, also with the first stage
of the backbone left as it is, and for ordinary training, which takes the statistics of the batch.
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
    start = build_network(variant_config(options.network)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = 255 * torch.rand(options.batch, 3, options.size, options.size) - 110
    images = images.contiguous(memory_format=torch.channels_last)
    forms = {
        "statistics of the batch": copy.deepcopy(start),
        "held, apart": _apart(_held(start)),
        "held, joined": _held(start),
        "held, apart, first stage frozen": _frozen(_apart(_held(start))),
        "held, joined, first stage frozen": _frozen(_held(start)),
    }
    times: dict[str, list[float]] = {name: [] for name in forms}
    with settings_for_training():
        for turn in range(options.rounds + 1):
            for name, network in forms.items():
                spent = _step(network, images)
                if turn:  # the first round warms up
                    times[name].append(spent)

    print(f"torch {torch.__version__}, {options.threads} threads, {platform.machine()}, {options.network}")
    print(f"{options.batch} images of {options.size} pixels, {options.rounds} rounds")
    medians = {name: 1e3 * statistics.median(spent) for name, spent in times.items()}
    for name, median in medians.items():
        print(f"{name:34} {median:8.0f} ms")
    for end in ("", ", first stage frozen"):
        ratio = statistics.median(
            a / b for a, b in zip(times[f"held, joined{end}"], times[f"held, apart{end}"], strict=True)
        )
        print(f"ratio joined / apart{end}: {ratio:.2f}")


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


def _step(network: FeatherFace, images: Tensor) -> float:
    """Seconds of forward and backward."""
    begin = time.perf_counter()
    outputs = network(images)
    sum(value.square().mean() for value in outputs).backward()
    network.zero_grad()
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
