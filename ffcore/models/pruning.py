"""Physically smaller networks: the channels of the pyramid that carry least are taken out.

The sums of a BiFPN tie the channels of all its convolutions, of all levels and repeats, to each other: a
channel leaves everywhere or nowhere. Inside SSH, shuffle and attention every level chooses for itself, within
what groups and halves demand. What comes out is an ordinary network of another ``out_channel``, made to be
trained further. The backbone stays as it is: most of the parameters, and what everything else stands on.

The criterion is the norm of a filter with its normalisation folded in (Li et al. 2017, Pruning Filters for
Efficient ConvNets, arXiv 1608.08710, section 3.1, with L2 in place of L1).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ffcore.config.network import SHUFFLE_MULTIPLE, WIDTH_MULTIPLE, NetworkConfig
from ffcore.errors import ConfigError
from ffcore.models.blocks.attention import CBAM, CoordinateAttention, CoordinateGate
from ffcore.models.blocks.conv import ConvNorm
from ffcore.models.blocks.shuffle import EvenOddShuffle, GroupShuffle
from ffcore.models.blocks.ssh import SSH, DeformableNorm
from ffcore.models.featherface import FeatherFace, build_network
from ffcore.models.profile import count_parameters

Kept = list[int]
"""Numbers of the channels that stay, in the order in which the smaller network has them."""

GROUPS = 4
"""Of the grouped SSH and shuffle."""

NEAR = 0.1
"""The width that comes out may differ from what was asked for by this part of the whole."""


@dataclass(frozen=True)
class Pruned:
    """What was taken out of a network.

    Args:
        width_before: Channels of the pyramid.
        width_after: The nearest width to what was asked for that the network's structure permits.
        parameters_before: Of the whole network.
        parameters_after: Of the whole network.
    """

    width_before: int
    width_after: int
    parameters_before: int
    parameters_after: int


def pruned_width(config: NetworkConfig, ratio: float) -> int:
    """The width that is left when about this part of the channels goes.

    Args:
        config: Of the whole network.
        ratio: Above 0 and below 1.

    Raises:
        ConfigError: The ratio is out of range, or the structure permits no width near it.
    """
    if not 0 < ratio < 1:
        raise ConfigError(f"prune = {ratio}: a part of the channels, above 0 and below 1, is needed")
    width = config.out_channel
    step = max(WIDTH_MULTIPLE[config.ssh], SHUFFLE_MULTIPLE[config.shuffle])
    if "cbam" in (config.pyramid_attention, config.context_attention):
        step = max(step, 16)
    if config.shuffle == "grouped":
        # a position of the shuffle must stay in its group: only whole parts of the width do that
        allowed = [width // n for n in range(2, width // step + 1) if width % (n * step) == 0]
    else:
        allowed = list(range(step, width, step))
    allowed = [each for each in allowed if each >= 8]
    wanted = width * (1 - ratio)
    nearest = min(allowed, key=lambda each: abs(each - wanted), default=0)
    if abs(wanted - nearest) > width * NEAR:
        listed = ", ".join(f"{1 - each / width:.3g}" for each in sorted(allowed, reverse=True)) or "none"
        raise ConfigError(f"prune = {ratio:g}: this network of width {width} permits the ratios {listed}")
    return nearest


@torch.no_grad()
def prune(network: FeatherFace, ratio: float) -> tuple[FeatherFace, Pruned]:
    """A smaller copy of a network, without the channels of BiFPN and SSH whose filters have the least norm.

    Args:
        network: Left as it is.
        ratio: Which part of the pyramid's channels to remove, above 0 and below 1; see `pruned_width`.

    Returns:
        The smaller network in the mode of the other, and what was done.

    Raises:
        ConfigError: The ratio is out of range for this network.
    """
    width = pruned_width(network.config, ratio)
    smaller = build_network(replace(network.config, out_channel=width)).to(next(network.parameters()).device)
    smaller.load_state_dict(_PrunedState(network, smaller).tensors())
    smaller.train(network.training)
    return smaller, Pruned(
        width_before=network.config.out_channel,
        width_after=width,
        parameters_before=count_parameters(network),
        parameters_after=count_parameters(smaller),
    )


class _PrunedState:
    """The state dict of the smaller network, filled in the order in which an image passes it.

    Args:
        network: The whole one.
        smaller: Built, with weights of no importance.
    """

    def __init__(self, network: FeatherFace, smaller: FeatherFace) -> None:
        self._old, self._new = network, smaller
        self._state = network.state_dict()
        self._found: dict[str, Tensor] = {}

    def tensors(self) -> dict[str, Tensor]:
        """All entries."""
        old, new = self._old, self._new
        self._copy("backbone")
        self._copy("backbone_attention")
        width = new.config.out_channel
        pyramid = best(votes(_pyramid_convolutions(old.neck)), width)
        self._neck(pyramid)
        levels = [pyramid] * len(old.context)
        self._attention("pyramid_attention", levels)
        levels = [self._ssh(i, pyramid) for i in range(len(old.context))]
        self._attention("context_attention", levels)
        for i, kept in enumerate(levels):
            self._head(i, self._shuffle(i, kept))
        return self._found

    def _copy(self, prefix: str) -> None:
        """What stays whole."""
        self._found |= {key: value for key, value in self._state.items() if key.startswith(f"{prefix}.")}

    def _slice(self, name: str, out: Kept | None, into: Kept | None = None) -> None:
        """Takes filters `out` of a convolution or linear layer, and of these the inputs `into`.

        Args:
            name: Of the module.
            out: Filters; None for all.
            into: Channels of its input, all groups together; None for all. In a depthwise convolution every
                filter has its own.
        """
        module = self._old.get_submodule(name)
        weight = self._state[f"{name}.weight"]
        filters = list(range(len(weight))) if out is None else out
        groups = getattr(module, "groups", 1)
        if groups == 1:
            taken = weight[filters] if into is None else weight[filters][:, into]
        elif groups == len(weight) or into is None:
            taken = weight[filters]
        else:
            share, each = weight.shape[1], len(into) // groups
            rows = []
            for number in filters:
                group = number // (len(weight) // groups)
                mine = into[group * each : (group + 1) * each]
                rows.append(weight[number][[channel - group * share for channel in mine]])
            taken = torch.stack(rows)
        self._found[f"{name}.weight"] = taken.clone()
        if f"{name}.bias" in self._state:
            self._found[f"{name}.bias"] = self._state[f"{name}.bias"][filters].clone()

    def _norm(self, name: str, kept: Kept) -> None:
        for key in ("weight", "bias", "running_mean", "running_var"):
            self._found[f"{name}.{key}"] = self._state[f"{name}.{key}"][kept].clone()
        self._found[f"{name}.num_batches_tracked"] = self._state[f"{name}.num_batches_tracked"].clone()

    def _conv_norm(self, name: str, out: Kept, into: Kept | None) -> None:
        self._slice(f"{name}.conv", out, into)
        self._norm(f"{name}.bn", out)

    def _neck(self, kept: Kept) -> None:
        neck = self._old.neck
        for name, module in neck.named_modules(prefix="neck"):
            if isinstance(module, ConvNorm):
                inputs = None if ".projections." in name else kept
                self._conv_norm(name, kept, inputs)
            elif isinstance(module, nn.Conv2d) and name.endswith(".depthwise"):
                self._slice(name, kept)
        self._found |= {f"neck.{key}": value for key, value in neck.state_dict().items() if "fuse" in key}

    def _attention(self, place: str, levels: Sequence[Kept]) -> None:
        module = getattr(self._old, place)
        if isinstance(module, CBAM):
            for i, kept in enumerate(levels):
                name = f"{place}.channel.{i}"
                hidden = len(getattr(self._new, place).channel[i].reduce.weight)
                strong = best([_filter_norms(self._state[f"{name}.reduce.weight"])], hidden)
                self._slice(f"{name}.reduce", strong, kept)
                self._slice(f"{name}.expand", kept, strong)
            self._copy(f"{place}.spatial")
        elif isinstance(module, CoordinateAttention):
            for i, kept in enumerate(levels):
                name, gate = f"{place}.gates.{i}", module.gates[i]
                assert isinstance(gate, CoordinateGate)
                hidden = len(getattr(self._new, place).gates[i].rows.weight[0])
                strong = best(votes([gate.transform]), hidden)
                self._conv_norm(f"{name}.transform", strong, kept)
                self._slice(f"{name}.rows", kept, strong)
                self._slice(f"{name}.columns", kept, strong)

    def _ssh(self, level: int, kept: Kept) -> Kept:
        """Gives the channels of the joined branches that are left."""
        name = f"context.{level}"
        ssh = self._old.context[level]
        assert isinstance(ssh, SSH)
        half, quarter = self._new.config.out_channel // 2, self._new.config.out_channel // 4
        wide = self._old.config.out_channel
        grouped = self._old.config.ssh == "grouped"
        # behind a grouped shuffle the places decide who meets whom: one of each few neighbours stays
        paired = self._old.config.shuffle == "grouped"

        def choose(module: nn.Module, count: int, *, joined: bool) -> Kept:
            parts = len(votes([module])[0]) // (wide // self._new.config.out_channel)
            return best(
                votes([module]), count, parts=parts if joined and paired else GROUPS if grouped else 1
            )

        if grouped:
            a = self._reduced(f"{name}.conv3", ssh.conv3, kept, half, joined=paired)
            shared = self._reduced(f"{name}.conv5_1", ssh.conv5_1, kept, quarter, joined=False)
        else:
            a = choose(ssh.conv3, half, joined=True)
            self._deformable(f"{name}.conv3", a, kept)
            shared = choose(ssh.conv5_1, quarter, joined=False)
            self._deformable(f"{name}.conv5_1", shared, kept)
        write = self._conv_norm if grouped else self._deformable
        b = choose(ssh.conv5_2, quarter, joined=True)
        write(f"{name}.conv5_2", b, shared)
        middle = choose(ssh.conv7_2, quarter, joined=False)
        write(f"{name}.conv7_2", middle, shared)
        c = choose(ssh.conv7_3, quarter, joined=True)
        write(f"{name}.conv7_3", c, middle)
        return [*a, *(wide // 2 + i for i in b), *(3 * wide // 4 + i for i in c)]

    def _reduced(self, name: str, module: nn.Module, kept: Kept, count: int, *, joined: bool) -> Kept:
        """A 1×1 and a grouped 3×3 convolution."""
        assert isinstance(module, nn.Sequential)
        hidden = best(votes([module[0]]), count, parts=GROUPS)
        out = best(votes([module[1]]), count, parts=count if joined else GROUPS)
        self._conv_norm(f"{name}.0", hidden, kept)
        self._conv_norm(f"{name}.1", out, hidden)
        return out

    def _deformable(self, name: str, out: Kept, into: Kept) -> None:
        for conv in ("offset_conv", "modulator_conv"):
            self._slice(f"{name}.unit.{conv}", None, into)
        self._slice(f"{name}.unit.regular_conv", out, into)
        self._norm(f"{name}.bn", out)

    def _shuffle(self, level: int, kept: Kept) -> Kept:
        """Gives the channels that the heads see."""
        name = f"shuffle.{level}"
        old, new = self._old.shuffle[level], self._new.shuffle[level]
        assert isinstance(old, nn.Sequential)
        assert isinstance(new, nn.Sequential)
        # at which place of the whole network's shuffled map each channel of the smaller one's was
        place = {channel: p for p, channel in enumerate(_order(old[0], self._old.config.out_channel))}
        shuffled = [place[kept[channel]] for channel in _order(new[0], len(kept))]
        kind = self._old.config.shuffle
        if kind == "plain":
            return shuffled
        parts = GROUPS if kind == "grouped" else 1
        middle = best(votes([old[1]]), len(kept) // 2, parts=parts)
        out = best(votes([old[-1]]), len(kept), parts=parts)
        self._conv_norm(f"{name}.1", middle, shuffled)
        if kind == "bottleneck":
            self._conv_norm(f"{name}.2", middle, None)
        self._conv_norm(f"{name}.{len(old) - 1}", out, middle)
        return out

    def _head(self, level: int, kept: Kept) -> None:
        for part in ("boxes", "logits", "landmarks"):
            self._slice(f"heads.{level}.{part}", None, kept)


def best(norms: Iterable[Tensor], count: int, *, parts: int = 1) -> Kept:
    """The channels of largest norm, in their own order.

    Args:
        norms: One vote each; all (C,), on a common scale.
        count: How many stay, a multiple of `parts`.
        parts: So many equal runs of neighbours keep equally many.
    """
    total = torch.stack(list(norms)).sum(dim=0)
    runs = total.reshape(parts, -1)
    strongest = runs.topk(count // parts, dim=1).indices.sort(dim=1).values
    first = torch.arange(parts, device=total.device)[:, None] * runs.shape[1]
    kept: Kept = (strongest + first).flatten().tolist()
    return kept


def votes(modules: Iterable[nn.Module]) -> list[Tensor]:
    """What each convolution says about its filters: their norms, the normalisation folded in, of mean 1.

    Args:
        modules: Each `ConvNorm` or `DeformableNorm`, or a sequence whose last member is one.
    """
    found = []
    for module in modules:
        last = module[-1] if isinstance(module, nn.Sequential) else module
        if isinstance(last, DeformableNorm):
            weight = last.unit.regular_conv.weight
        else:
            assert isinstance(last, ConvNorm)
            weight = last.conv.weight
        bn = last.bn
        assert bn.running_var is not None
        norms = _filter_norms(weight) * bn.weight.abs() / torch.sqrt(bn.running_var + bn.eps)
        found.append(norms / norms.mean().clamp(min=torch.finfo(norms.dtype).tiny))
    return found


def _filter_norms(weight: Tensor) -> Tensor:
    norms: Tensor = torch.linalg.vector_norm(weight.flatten(1), dim=1)
    return norms


def _pyramid_convolutions(neck: nn.Module) -> list[nn.Module]:
    """Those that write the pyramid's channels; depthwise ones only pass them on."""
    return [module for module in neck.modules() if isinstance(module, ConvNorm) and module.conv.groups == 1]


def _order(shuffle: nn.Module, channels: int) -> list[int]:
    """Which input channel comes out at each place."""
    assert isinstance(shuffle, EvenOddShuffle | GroupShuffle)
    numbers = torch.arange(channels, dtype=torch.float32).reshape(1, channels, 1, 1)
    order: list[int] = shuffle(numbers).flatten().int().tolist()
    return order
