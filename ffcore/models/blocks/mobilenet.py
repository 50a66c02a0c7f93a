"""The backbone: MobileNetV1 at a quarter of its width (Howard et al. 2017, arXiv 1704.04861)."""

from __future__ import annotations

from torch import Tensor, nn

from ffcore.models.blocks.conv import ConvNorm

SLOPE = 0.1
"""Of every LeakyReLU. The published weights assume it; ReLU or ReLU6 would be another network."""


class DepthwiseBlock(nn.Module):
    """Depthwise 3×3 and pointwise 1×1 convolution, each with normalisation and LeakyReLU."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1) -> None:
        super().__init__()
        self.depthwise = ConvNorm(
            in_channels, in_channels, kernel=3, stride=stride, groups=in_channels, activation=_leaky()
        )
        self.pointwise = ConvNorm(in_channels, out_channels, activation=_leaky())

    def forward(self, x: Tensor) -> Tensor:
        """Runs the block."""
        return self.pointwise(self.depthwise(x))  # type: ignore[no-any-return]


class MobileNetV1(nn.Module):
    """213,072 parameters; gives the maps of strides 8, 16 and 32."""

    widths = (64, 128, 256)
    """Channels of C3, C4, C5."""

    def __init__(self) -> None:
        super().__init__()
        self.stage1 = nn.Sequential(
            ConvNorm(3, 8, kernel=3, stride=2, activation=_leaky()),
            DepthwiseBlock(8, 16),
            DepthwiseBlock(16, 32, stride=2),
            DepthwiseBlock(32, 32),
            DepthwiseBlock(32, 64, stride=2),
            DepthwiseBlock(64, 64),
        )
        self.stage2 = nn.Sequential(
            DepthwiseBlock(64, 128, stride=2), *(DepthwiseBlock(128, 128) for _ in range(5))
        )
        self.stage3 = nn.Sequential(DepthwiseBlock(128, 256, stride=2), DepthwiseBlock(256, 256))

    @property
    def stages(self) -> tuple[nn.Module, nn.Module, nn.Module]:
        """The parts that give C3, C4 and C5, each from what the one before gives."""
        return self.stage1, self.stage2, self.stage3

    def forward(self, images: Tensor) -> list[Tensor]:
        """Runs the backbone.

        Args:
            images: (B, 3, H, W), BGR minus the mean.

        Returns:
            C3 (B, 64, ceil(H/8), ceil(W/8)), C4 (B, 128, ceil(H/16), …), C5 (B, 256, ceil(H/32), …).
        """
        c3 = self.stage1(images)
        c4 = self.stage2(c3)
        c5 = self.stage3(c4)
        return [c3, c4, c5]


def _leaky() -> nn.LeakyReLU:
    return nn.LeakyReLU(SLOPE, inplace=True)
