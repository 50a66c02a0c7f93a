"""Grouped SSH and the shuffle behind it, as depthwise and dense convolutions.

A 3×3 convolution whose groups are pairs of channels is the sum of two depthwise ones: one on the map, one
on the map with the channels of each pair exchanged. A 1×1 convolution of ones and zeros exchanges them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ffcore.export.fast.folding import join_groups, make_conv, permute_inputs
from ffcore.models.blocks.conv import ConvNorm
from ffcore.models.blocks.shuffle import EvenOddShuffle, GroupShuffle
from ffcore.models.blocks.ssh import SSH


class PairConv(nn.Module):
    """A 3×3 convolution in groups of two channels, from a map and its exchanged twin.

    Args:
        conv: In C/2 groups, C channels in and out.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        channels = conv.out_channels
        weight, channel = conv.weight.detach(), torch.arange(channels)
        # of two weights a channel has, its own and its partner's
        own, other = weight[channel, channel % 2], weight[channel, 1 - channel % 2]
        padding: tuple[int, ...] = conv.padding  # type: ignore[assignment]
        self.on_map = make_conv(own[:, None], conv.bias, padding=padding, groups=channels)
        self.on_twin = make_conv(other[:, None], None, padding=padding, groups=channels)

    def forward(self, x: Tensor, twin: Tensor) -> Tensor:
        """Runs the convolution."""
        return self.on_map(x) + self.on_twin(twin)  # type: ignore[no-any-return]


class FastSSH(nn.Module):
    """Grouped SSH whose 5×5 and 7×7 branches are groups of two channels.

    Args:
        ssh: What it computes; its normalisations must have been folded.
    """

    def __init__(self, ssh: SSH) -> None:
        super().__init__()
        self.reduce3, conv3 = (_conv(part) for part in ssh.conv3.children())
        self.conv3 = join_groups(conv3)
        self.reduce5, conv5_1 = (_conv(part) for part in ssh.conv5_1.children())
        self.shared = PairConv(conv5_1)
        self.middle, self.wide, self.widest = (
            PairConv(_conv(part)) for part in (ssh.conv5_2, ssh.conv7_2, ssh.conv7_3)
        )
        channels = conv5_1.in_channels
        exchanged = torch.eye(channels)[torch.arange(channels) ^ 1]
        self.exchange = make_conv(exchanged[:, :, None, None], None)

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W) -> (B, C, H, W)
        """Runs the module."""
        small = F.relu(self.conv3(F.relu(self.reduce3(x))))
        five = F.relu(self.reduce5(x))
        shared = self.shared(five, self.exchange(five))
        twin = self.exchange(shared)
        wide = F.relu(self.wide(shared, twin))
        widest = F.relu(self.widest(wide, self.exchange(wide)))
        return torch.cat([small, F.relu(self.middle(shared, twin)), widest], dim=1)


def fast_context(ssh: nn.Module) -> nn.Module:
    """The fast form of an SSH module, or the module itself where there is none.

    Args:
        ssh: Its normalisations must have been folded.
    """
    if isinstance(ssh, SSH) and isinstance(ssh.conv5_2, ConvNorm):
        conv = ssh.conv5_2.conv
        if conv.in_channels == 2 * conv.groups:
            return FastSSH(ssh)
    return ssh


def fold_shuffle(shuffle: nn.Sequential, conv: nn.Conv2d) -> nn.Conv2d:
    """The convolution that does what a channel shuffle and the convolution behind it do.

    Args:
        shuffle: Its first module is the shuffle; the others are not looked at.
        conv: What follows.
    """
    channels = conv.in_channels
    assert isinstance(shuffle[0], EvenOddShuffle | GroupShuffle)
    numbers = torch.arange(channels).view(1, channels, 1, 1)
    order = shuffle[0](numbers).flatten()
    return permute_inputs(join_groups(conv, width=channels), order)


def _conv(part: nn.Module) -> nn.Conv2d:
    assert isinstance(part, ConvNorm)
    return part.conv
