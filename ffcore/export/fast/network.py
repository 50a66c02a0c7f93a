"""A whole network in its fast form."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn

from ffcore.export.fast.attention import FastCBAM
from ffcore.export.fast.context import fast_context, fold_shuffle
from ffcore.export.fast.deform import speed_up_deformable
from ffcore.export.fast.folding import fold_all_norms, join_groups
from ffcore.export.fast.heads import FastHeads
from ffcore.export.fast.operators import Operators
from ffcore.export.fast.pyramid import speed_up_fusions
from ffcore.models.blocks.attention import CBAM
from ffcore.models.blocks.bifpn import BiFPNLayer
from ffcore.models.blocks.conv import ConvNorm
from ffcore.models.blocks.heads import Heads
from ffcore.models.featherface import FeatherFace


class FastNetwork(nn.Module):
    """Computes what a network computes, with probabilities in place of logits.

    Args:
        network: Any; copied, and taken in evaluation mode.
        operators: Of torch or of ONNX.
        deformable: Whether deformable convolutions are rearranged too, or stay units whose operator can be
            exchanged.
    """

    def __init__(self, network: FeatherFace, operators: Operators, *, deformable: bool = True) -> None:
        super().__init__()
        with torch.no_grad():
            self.network = _fast(deepcopy(network).eval(), operators, deformable=deformable)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes, probabilities, landmarks: (B, A, 4), (B, A, 2), (B, A, 10)."""
        outputs: tuple[Tensor, Tensor, Tensor] = self.network(images)
        return outputs


def _fast(network: FeatherFace, operators: Operators, *, deformable: bool) -> FeatherFace:
    # the gates fold their own normalisations
    if isinstance(network.backbone_attention, CBAM):
        network.backbone_attention = FastCBAM(network.backbone_attention, operators, rectify=False)
    if isinstance(network.pyramid_attention, CBAM):
        network.pyramid_attention = FastCBAM(network.pyramid_attention, operators, rectify=True)
    fold_all_norms(network)
    if deformable:
        speed_up_deformable(network.context, operators)
    for layer in network.neck.modules():
        if isinstance(layer, BiFPNLayer):
            speed_up_fusions(layer)
    network.context = nn.ModuleList(fast_context(ssh) for ssh in network.context)
    assert isinstance(network.heads, Heads)
    network.heads = FastHeads(network.heads, operators)
    for i, shuffle in enumerate(network.shuffle):
        _fold_shuffle(network, i, shuffle)  # type: ignore[arg-type]
    return network


def _fold_shuffle(network: FeatherFace, level: int, shuffle: nn.Sequential) -> None:
    """Takes the shuffle of a level into the next convolution: that of its block, or the head."""
    assert isinstance(network.heads, FastHeads)
    if len(shuffle) == 1:
        network.heads.convs[level] = fold_shuffle(shuffle, network.heads.convs[level])  # type: ignore[arg-type]
        network.shuffle[level] = nn.Identity()
        return
    following = shuffle[1]
    assert isinstance(following, ConvNorm)
    following.conv = fold_shuffle(shuffle, following.conv)
    for unit in shuffle[2:]:
        if isinstance(unit, ConvNorm) and 1 < unit.conv.groups < unit.conv.in_channels:
            unit.conv = join_groups(unit.conv)
    network.shuffle[level] = nn.Sequential(*list(shuffle)[1:])
