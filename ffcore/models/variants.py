"""The published networks by name: one visible table."""

from __future__ import annotations

from ffcore.config.network import NetworkConfig
from ffcore.errors import UnknownModelError, did_you_mean

VARIANTS: dict[str, NetworkConfig] = {
    # 592,371 parameters; CBAM around the pyramid, a bottleneck behind the shuffle
    "v1-original": NetworkConfig(
        out_channel=64,
        bifpn_repeats=3,
        shuffle="bottleneck",
        backbone_attention="cbam",
        pyramid_attention="cbam",
    ),
    # 489,015 parameters; no attention at all
    "v1": NetworkConfig(out_channel=56, bifpn_repeats=2),
    # 256,156 parameters
    "v2": NetworkConfig(
        out_channel=32,
        bifpn="light",
        bifpn_repeats=2,
        ssh="grouped",
        shuffle="grouped",
        backbone_attention="cbam-plus",
        pyramid_attention="cbam-plus",
    ),
    # 493,095 parameters; v1 with coordinate attention behind SSH
    "v2-ca": NetworkConfig(out_channel=56, bifpn_repeats=2, context_attention="coordinate"),
}


def variant_config(name: str) -> NetworkConfig:
    """The configuration of a published network.

    Raises:
        UnknownModelError: No network has this name; the message lists the near ones.
    """
    try:
        return VARIANTS[name]
    except KeyError:
        hint = "; a file of weights is another thing (--weights)" if "." in name else ""
        raise UnknownModelError(f"{name!r} is not a network: {did_you_mean(name, VARIANTS)}{hint}") from None


def variant_name(config: NetworkConfig) -> str:
    """The name of a configuration: that of the published network it equals, otherwise "custom"."""
    return next((name for name, known in VARIANTS.items() if known == config), "custom")
