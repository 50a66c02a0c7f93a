"""The network: backbone, neck, context, heads, with room for attention between them."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from ffcore.config.network import NetworkConfig
from ffcore.models.blocks.attention import attention
from ffcore.models.blocks.bifpn import bifpn
from ffcore.models.blocks.heads import Heads, RawOutputs
from ffcore.models.blocks.mobilenet import MobileNetV1
from ffcore.models.blocks.shuffle import shuffle_block
from ffcore.models.blocks.ssh import SSH

LEVELS = 3


class Features(NamedTuple):
    """What a network computes on its way; each entry holds the maps of strides 8, 16 and 32."""

    backbone: list[Tensor]
    """C3, C4, C5 as the backbone gives them: 64, 128, 256 channels."""
    pyramid: list[Tensor]
    """P3, P4, P5 after BiFPN and the attention behind it."""
    context: list[Tensor]
    """What the heads see: after SSH, attention and shuffle."""


class FeatherFace(nn.Module):
    """A face detector of three strides, put together from its parts.

    Args:
        config: What the parts were made from.
        backbone: Image to C3, C4, C5.
        backbone_attention: Three maps to three maps, likewise below.
        neck: C3, C4, C5 to P3, P4, P5 of one width.
        pyramid_attention: Between neck and context.
        context: SSH, one module a level.
        context_attention: Between context and shuffle.
        shuffle: One module a level.
        heads: Maps to raw outputs.
    """

    def __init__(
        self,
        config: NetworkConfig,
        *,
        backbone: MobileNetV1,
        backbone_attention: nn.Module,
        neck: nn.Module,
        pyramid_attention: nn.Module,
        context: nn.ModuleList,
        context_attention: nn.Module,
        shuffle: nn.ModuleList,
        heads: nn.Module,
    ) -> None:
        super().__init__()
        self.config = config
        self.backbone = backbone
        self.backbone_attention = backbone_attention
        self.neck = neck
        self.pyramid_attention = pyramid_attention
        self.context = context
        self.context_attention = context_attention
        self.shuffle = shuffle
        self.heads = heads

    def forward(self, images: Tensor) -> RawOutputs:
        """Runs the network.

        Args:
            images: (B, 3, H, W) float, BGR in 0..255 minus the mean (104, 117, 123); any size from 1 pixel.

        Returns:
            Raw offsets and logits for the anchors of `ffcore.geometry.anchors`, the same in training
            and in use.
        """
        outputs: RawOutputs = self.heads(self.features(images).context)
        return outputs

    def features(self, images: Tensor) -> Features:
        """Runs the network up to the heads."""
        backbone = self.backbone(images)  # (B, 64, H/8, W/8), (B, 128, H/16, W/16), (B, 256, H/32, W/32)
        pyramid = self.neck(self.backbone_attention(backbone))  # 3 × (B, out_channel, H/s, W/s), as all below
        pyramid = self.pyramid_attention(pyramid)
        context = [ssh(x) for ssh, x in zip(self.context, pyramid, strict=True)]
        context = self.context_attention(context)
        context = [shuffle(x) for shuffle, x in zip(self.shuffle, context, strict=True)]
        return Features(backbone=backbone, pyramid=pyramid, context=context)


def build_network(config: NetworkConfig) -> FeatherFace:
    """A network with fresh weights, in training mode.

    Args:
        config: Its parts and widths.
    """
    backbone = MobileNetV1()
    width = config.out_channel
    pyramid_widths = (width,) * LEVELS
    return FeatherFace(
        config,
        backbone=backbone,
        backbone_attention=attention(config.backbone_attention, backbone.widths),
        neck=bifpn(backbone.widths, width, kind=config.bifpn, repeats=config.bifpn_repeats),
        pyramid_attention=attention(config.pyramid_attention, pyramid_widths),
        context=nn.ModuleList(SSH(width, kind=config.ssh) for _ in range(LEVELS)),
        context_attention=attention(config.context_attention, pyramid_widths),
        shuffle=nn.ModuleList(shuffle_block(config.shuffle, width) for _ in range(LEVELS)),
        heads=Heads(width, levels=LEVELS),
    )
