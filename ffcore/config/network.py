"""What a network is made of."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from ffcore.config.settings import check_choices
from ffcore.errors import ConfigError, did_you_mean

Attention = Literal["none", "cbam", "cbam-plus", "coordinate"]
BiFPNKind = Literal["separable", "light"]
SSHKind = Literal["deformable", "grouped"]
ShuffleKind = Literal["plain", "bottleneck", "grouped"]

WIDTH_MULTIPLE = {"deformable": 4, "grouped": 16}
"""SSH splits the width in halves and quarters; the grouped one convolves the quarters in 4 groups."""

SHUFFLE_MULTIPLE = {"plain": 2, "bottleneck": 2, "grouped": 8}
"""Channels go to 2 groups, or to 4 groups that a bottleneck halves."""


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """The parts and widths of one FeatherFace network.

    The backbone (MobileNetV1 × 0.25) and the heads are the same in all of them. `ffcore.models.variants`
    holds the four published combinations.

    Raises:
        ConfigError: A value is unknown, or two values cannot go together.
    """

    out_channel: int = 56
    """Width of the pyramid, 8 to 512 channels."""
    bifpn: BiFPNKind = "separable"
    """"separable": the published block, zero-padded pooling; "light": bias-free, plain pooling (v2)."""
    bifpn_repeats: int = 2
    """How often the pyramid is run, 1 to 8."""
    ssh: SSHKind = "deformable"
    """Context module: deformable convolutions, or grouped ones (v2)."""
    shuffle: ShuffleKind = "plain"
    """Channel shuffle alone, or with a bottleneck behind it."""
    backbone_attention: Attention = "none"
    """Attention on C3, C4, C5."""
    pyramid_attention: Attention = "none"
    """Attention between BiFPN and SSH."""
    context_attention: Attention = "none"
    """Attention between SSH and shuffle."""

    def __post_init__(self) -> None:
        check_choices(
            self,
            {
                "bifpn": get_args(BiFPNKind),
                "ssh": get_args(SSHKind),
                "shuffle": get_args(ShuffleKind),
                "backbone_attention": get_args(Attention),
                "pyramid_attention": get_args(Attention),
                "context_attention": get_args(Attention),
            },
        )
        for name, low, high in (("out_channel", 8, 512), ("bifpn_repeats", 1, 8)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                raise ConfigError(f"{name} = {value!r}: a whole number from {low} to {high} is needed")
        multiple = max(WIDTH_MULTIPLE[self.ssh], SHUFFLE_MULTIPLE[self.shuffle])
        if self.out_channel % multiple:
            below = max(multiple, self.out_channel - self.out_channel % multiple)
            raise ConfigError(
                f"out_channel = {self.out_channel}: ssh = {self.ssh!r} with shuffle = {self.shuffle!r} needs "
                f"a multiple of {multiple}; the nearest are {below} and {below + multiple}"
            )
        if "cbam" in (self.pyramid_attention, self.context_attention) and self.out_channel < 16:
            raise ConfigError(
                f"out_channel = {self.out_channel}: CBAM divides the width by 16; use 16 or more"
            )

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> NetworkConfig:
        """Builds a configuration from plain values, as they lie in a TOML file or in metadata.

        Raises:
            ConfigError: A name is not a field, or a value is impossible.
        """
        known = [field.name for field in fields(cls)]
        for name in values:
            if name not in known:
                raise ConfigError(f"{name!r} is not a setting of a network: {did_you_mean(name, known)}")
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values."""
        return asdict(self)
