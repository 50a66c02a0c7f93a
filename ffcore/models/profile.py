"""What a network costs: parameters, multiply-accumulates, size and time, in all and by component."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ffcore.config import NetworkConfig, apply_settings
from ffcore.errors import ConfigError
from ffcore.models.featherface import FeatherFace, build_network
from ffcore.models.variants import VARIANTS, variant_config, variant_name
from ffcore.models.weights import load_network

COMPONENTS: dict[str, tuple[str, ...]] = {
    "backbone": ("backbone",),
    "attention": ("backbone_attention", "pyramid_attention", "context_attention"),
    "bifpn": ("neck",),
    "ssh": ("context",),
    "shuffle": ("shuffle",),
    "heads": ("heads",),
}
"""Rows of the component table, and the parts of the network that each one sums up."""

MACS_CONVENTION = (
    "multiply-accumulates of convolutions, linear layers and deformable sampling; "
    "normalisation, activations, pooling and sums are left out"
)


@dataclass(frozen=True)
class Cost:
    """What a part of a network costs.

    Args:
        parameters: Trained numbers; buffers are never counted.
        macs: Multiply-accumulates for one image, by `MACS_CONVENTION`.
    """

    parameters: int
    macs: int


@dataclass(frozen=True)
class Profile:
    """What a network costs for images of one size.

    Args:
        network: Its name, or "custom".
        size: Height and width in pixels.
        total: Of the whole network.
        components: By the names of `COMPONENTS`.
        modules: By module path, down to the depth that was asked for.
        megabytes: Of the weights as float32, buffers included, in units of 10⁶ bytes.
        milliseconds: Median time of a forward pass of one image, or None when it was not measured.
        threads: Threads that torch used for it.
    """

    network: str
    size: tuple[int, int]
    total: Cost
    components: dict[str, Cost]
    modules: dict[str, Cost]
    megabytes: float
    milliseconds: float | None = None
    threads: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, the convention of counting included."""
        return {**asdict(self), "macs_convention": MACS_CONVENTION}


def profile(
    network: FeatherFace | NetworkConfig,
    size: tuple[int, int] = (640, 640),
    *,
    depth: int = 0,
    repeats: int = 0,
) -> Profile:
    """Counts a network and, if asked, times it.

    Args:
        network: A network, or only its configuration: counting needs no weights.
        size: Height and width of the image in pixels.
        depth: How many levels of modules are listed; 0 lists none.
        repeats: How many forward passes are timed, on the CPU and with torch's current threads, after
            one that is not; 0 times nothing.

    Raises:
        ConfigError: The size is not positive.
    """
    if min(size) < 1:
        raise ConfigError(f"size {size[0]}×{size[1]}: height and width of at least 1 pixel are needed")
    config = network if isinstance(network, NetworkConfig) else network.config
    with torch.device("meta"):
        counted = build_network(config).eval()
    macs = _count_macs(counted, torch.empty(1, 3, *size, device="meta"))

    def cost(paths: tuple[str, ...]) -> Cost:
        parts = [counted.get_submodule(path) for path in paths]
        return Cost(sum(map(count_parameters, parts)), sum(_macs_of(counted, path, macs) for path in paths))

    milliseconds = None
    if repeats:
        timed = build_network(network) if isinstance(network, NetworkConfig) else network
        milliseconds = _time(timed, size, repeats=repeats)
    return Profile(
        network=variant_name(config),
        size=size,
        total=Cost(count_parameters(counted), macs.get("", 0)),
        components={name: cost(paths) for name, paths in COMPONENTS.items()},
        modules={
            name: cost((name,)) for name, _ in counted.named_modules() if name and name.count(".") < depth
        },
        megabytes=sum(tensor.numel() * tensor.element_size() for tensor in counted.state_dict().values())
        / 1e6,
        milliseconds=milliseconds,
        threads=torch.get_num_threads() if repeats else None,
    )


def profile_all(
    names: Sequence[str],
    weights: Sequence[str | Path] = (),
    *,
    settings: Sequence[str] = (),
    size: tuple[int, int] = (640, 640),
    depth: int = 0,
    repeats: int = 0,
) -> list[Profile]:
    """Profiles of networks by name and of checkpoints by file, in this order.

    Args:
        names: Of published networks.
        weights: Checkpoint files.
        settings: Changes to the named networks, each ``field=value``.
        size: As for `profile`, likewise below.
        depth: Levels of modules.
        repeats: Forward passes that are timed.

    Raises:
        ConfigError: Nothing to profile, or an impossible setting.
        UnknownModelError: A name of no network.
        CheckpointError: A file that is no checkpoint.
    """
    if not names and not weights:
        raise ConfigError(f"name at least one network ({', '.join(VARIANTS)}) or one checkpoint")
    if settings and not names:
        raise ConfigError("settings change named networks; a checkpoint is what it is")
    found = []
    for name in names:
        label = f"{name} {' '.join(settings)}".rstrip()
        config = apply_settings(variant_config(name), settings)
        found.append(replace(profile(config, size, depth=depth, repeats=repeats), network=label))
    for path in weights:
        network = load_network(path)
        label = f"{Path(path).name} ({variant_name(network.config)})"
        found.append(replace(profile(network, size, depth=depth, repeats=repeats), network=label))
    return found


def count_parameters(module: nn.Module) -> int:
    """Numbers that training changes; buffers are not among them."""
    return sum(parameter.numel() for parameter in module.parameters())


def _count_macs(network: nn.Module, images: Tensor) -> dict[str, int]:
    """By module path, "" for the whole."""
    counter = FlopCounterMode(
        display=False,
        custom_mapping={
            torch.ops.aten._embedding_bag: _sampling_flops,
            torch.ops.aten._embedding_bag_forward_only: _sampling_flops,
        },
    )
    with counter, torch.no_grad():
        network(images)
    root = type(network).__name__
    return {
        path.removeprefix(root).removeprefix("."): sum(counts.values()) // 2
        for path, counts in counter.get_flop_counts().items()
        if path != "Global"
    }


def _macs_of(network: nn.Module, path: str, macs: Mapping[str, int]) -> int:
    """Of one module; a list of modules is never called itself and costs what its members cost."""
    module = network.get_submodule(path)
    if isinstance(module, nn.ModuleList) and path not in macs:
        return sum(_macs_of(network, f"{path}.{name}", macs) for name, _ in module.named_children())
    return macs.get(path, 0)


def _sampling_flops(table: tuple[int, ...], index: tuple[int, ...], *_arguments: Any, **_options: Any) -> int:
    """Deformable sampling: a multiplication and an addition for each index and column of the table."""
    rows = 1
    for length in index:
        rows *= length
    return 2 * rows * table[1]


def _time(network: FeatherFace, size: tuple[int, int], *, repeats: int) -> float:
    images = torch.zeros(1, 3, *size)
    training = network.training
    network.eval()
    seconds = []
    try:
        with torch.inference_mode():
            for _ in range(repeats + 1):
                start = time.perf_counter()
                network(images)
                seconds.append(time.perf_counter() - start)
    finally:
        network.train(training)
    return statistics.median(seconds[1:]) * 1e3
