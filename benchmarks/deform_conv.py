"""Our deformable convolution against torchvision's, forward and backward, in one run.

    python benchmarks/deform_conv.py [--threads 2] [--device cpu|cuda] [--rounds 7]

The two take turns, so that a machine whose speed drifts is fair to both; medians and their ratio are
printed. The shape is that of the first unit of an SSH module in v1-original at 640 pixels, batch 8.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from ffcore.models.blocks.deform_conv import deform_conv2d
from ffcore.models.blocks.torchvision_ops import import_torchvision_ops


def main() -> None:
    """Runs the comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    ops = import_torchvision_ops()

    def leaf(*shape: int, scale: float = 1.0) -> Tensor:
        return (torch.randn(*shape, device=options.device) * scale).requires_grad_()

    x, weight = leaf(8, 64, 80, 80), leaf(32, 64, 3, 3, scale=0.1)
    offset, mask = leaf(8, 18, 80, 80), leaf(8, 9, 80, 80)
    contestants: dict[str, Callable[[], Tensor]] = {
        "ours": lambda: deform_conv2d(x, weight, offset=offset, mask=mask),
        "torchvision": lambda: ops.deform_conv2d(x, offset, weight, padding=1, mask=mask),
    }
    difference = (contestants["ours"]() - contestants["torchvision"]()).abs().max().item()
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in contestants}
    for turn in range(options.rounds + 1):
        for name, run in contestants.items():
            measured = _time(run, options.device)
            if turn:  # the first round warms up
                times[name].append(measured)

    print(f"torch {torch.__version__}, {options.device}, {options.threads} threads, {platform.processor()}")
    print(f"(8, 64, 80, 80) -> 32 channels, largest difference {difference:.1e}")
    medians = {}
    for name, rounds in times.items():
        forward, backward = (statistics.median(values) for values in zip(*rounds, strict=True))
        medians[name] = statistics.median(sum(values) for values in rounds)
        print(f"{name:12} forward {1e3 * forward:8.1f} ms, backward {1e3 * backward:8.1f} ms")
    print(f"ratio torchvision / ours, forward + backward: {medians['torchvision'] / medians['ours']:.1f}")


def _time(run: Callable[[], Tensor], device: str) -> tuple[float, float]:
    def now() -> float:
        if device != "cpu":
            torch.cuda.synchronize()
        return time.perf_counter()

    start = now()
    out = run()
    middle = now()
    torch.autograd.backward(out.sum())
    return middle - start, now() - middle


if __name__ == "__main__":
    main()
