"""Key names of the published checkpoints, so that their files load here and ours load there.

Our modules have names that say what they are; the published ones (github.com/fokouarnaud/FeatherFace,
github.com/dohun-mat/FeatherFace) grew over time, "bacbkbone" and "conv7x7_3" included. This table is
the only place that knows them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ffcore.config.network import NetworkConfig
from ffcore.errors import ModelError

Rule = tuple[str, str]
"""A pattern for the beginning of our key, and what replaces it."""

_BACKBONE: list[Rule] = [
    (r"backbone\.stage1\.0\.conv\.", "body.stage1.0.0."),
    (r"backbone\.stage1\.0\.bn\.", "body.stage1.0.1."),
    (r"backbone\.(stage\d)\.(\d)\.depthwise\.conv\.", r"body.\1.\2.0."),
    (r"backbone\.(stage\d)\.(\d)\.depthwise\.bn\.", r"body.\1.\2.1."),
    (r"backbone\.(stage\d)\.(\d)\.pointwise\.conv\.", r"body.\1.\2.3."),
    (r"backbone\.(stage\d)\.(\d)\.pointwise\.bn\.", r"body.\1.\2.4."),
]

_FUSION: list[Rule] = [
    (r"neck\.(\d)\.fuse4_up\.weight$", r"bifpn.\1.p4_w1"),
    (r"neck\.(\d)\.fuse3_up\.weight$", r"bifpn.\1.p3_w1"),
    (r"neck\.(\d)\.fuse4_down\.weight$", r"bifpn.\1.p4_w2"),
    (r"neck\.(\d)\.fuse5_down\.weight$", r"bifpn.\1.p5_w2"),
]

_NECK: dict[str, list[Rule]] = {
    "separable": [
        (r"neck\.(\d)\.(conv\d_\w+)\.depthwise\.", r"bifpn.\1.\2.depthwise_conv.conv."),
        (r"neck\.(\d)\.(conv\d_\w+)\.pointwise\.conv\.", r"bifpn.\1.\2.pointwise_conv.conv."),
        (r"neck\.(\d)\.(conv\d_\w+)\.pointwise\.bn\.", r"bifpn.\1.\2.bn."),
        (r"neck\.0\.projections\.(p\d)_again\.conv\.", r"bifpn.0.\1_down_channel_2.0.conv."),
        (r"neck\.0\.projections\.(p\d)_again\.bn\.", r"bifpn.0.\1_down_channel_2.1."),
        (r"neck\.0\.projections\.(p\d)\.conv\.", r"bifpn.0.\1_down_channel.0.conv."),
        (r"neck\.0\.projections\.(p\d)\.bn\.", r"bifpn.0.\1_down_channel.1."),
    ],
    "light": [
        (r"neck\.(\d)\.(conv\d_\w+)\.depthwise\.conv\.", r"bifpn.\1.\2.depthwise."),
        (r"neck\.(\d)\.(conv\d_\w+)\.depthwise\.bn\.", r"bifpn.\1.\2.bn1."),
        (r"neck\.(\d)\.(conv\d_\w+)\.pointwise\.conv\.", r"bifpn.\1.\2.pointwise."),
        (r"neck\.(\d)\.(conv\d_\w+)\.pointwise\.bn\.", r"bifpn.\1.\2.bn2."),
        (r"neck\.0\.projections\.(p\d)\.conv\.", r"bifpn.0.\1_down_channel.0."),
        (r"neck\.0\.projections\.(p\d)\.bn\.", r"bifpn.0.\1_down_channel.1."),
    ],
}

_SSH: dict[str, list[Rule]] = {
    "deformable": [
        (rf"context\.{level}\.{ours}\.{part}\.", f"ssh{level + 1}.{theirs}.{number}.")
        for level in range(3)
        for ours, theirs in (
            ("conv3", "conv3X3"),
            ("conv5_1", "conv5X5_1"),
            ("conv5_2", "conv5X5_2"),
            ("conv7_2", "conv7X7_2"),
            ("conv7_3", "conv7x7_3"),
        )
        for part, number in (("unit", 0), ("bn", 1))
    ],
    "grouped": [
        (rf"context\.{level}\.{ours}\.{part}\.", f"ssh{level + 1}.{theirs}.{number}.")
        for level in range(3)
        for ours, theirs, parts in (
            ("conv3", "conv3x3", 2),
            ("conv5_1", "conv5x5_1", 2),
            ("conv5_2", "conv5x5_2", 1),
            ("conv7_2", "conv7x7_2", 1),
            ("conv7_3", "conv7x7_3", 1),
        )
        for part, number in (
            ((r"0\.conv", 0), (r"0\.bn", 1), (r"1\.conv", 3), (r"1\.bn", 4))
            if parts == 2
            else (("conv", 0), ("bn", 1))
        )
    ],
}

_SHUFFLE: dict[str, list[Rule]] = {
    "plain": [],
    "bottleneck": [
        (rf"shuffle\.{level}\.{block}\.{part}\.", f"ssh{level + 1}_cs.{2 * block - 1 + number}.")
        for level in range(3)
        for block in (1, 2, 3)
        for part, number in (("conv", 0), ("bn", 1))
    ],
    "grouped": [
        (rf"shuffle\.{level}\.{block}\.{part}\.", f"ssh{level + 1}_cs.conv.{3 * (block - 1) + number}.")
        for level in range(3)
        for block in (1, 2)
        for part, number in (("conv", 0), ("bn", 1))
    ],
}

_HEADS: dict[bool, list[Rule]] = {
    False: [
        (r"heads\.(\d)\.logits\.", r"ClassHead.\1.conv1x1."),
        (r"heads\.(\d)\.boxes\.", r"BboxHead.\1.conv1x1."),
        (r"heads\.(\d)\.landmarks\.", r"LandmarkHead.\1.conv1x1."),
    ],
    True: [
        (r"heads\.(\d)\.logits\.", r"shared_heads.\1.cls_head."),
        (r"heads\.(\d)\.boxes\.", r"shared_heads.\1.bbox_head."),
        (r"heads\.(\d)\.landmarks\.", r"shared_heads.\1.ldm_head."),
    ],
}


def _attention(place: str, kind: str) -> list[Rule]:
    """Rules of one attention stage; empty where nothing was ever published."""
    if kind == "cbam" and place in ("backbone_attention", "pyramid_attention"):
        theirs = r"bacbkbone_\1_cbam" if place == "backbone_attention" else r"bif_cbam_\1"
        return [
            (rf"{place}\.channel\.(\d)\.reduce\.", f"{theirs}.ChannelGate.mlp.1."),
            (rf"{place}\.channel\.(\d)\.expand\.", f"{theirs}.ChannelGate.mlp.3."),
            (rf"{place}\.spatial\.(\d)\.mix\.", f"{theirs}.SpatialGate.spatial."),
        ]
    if kind == "cbam-plus" and place in ("backbone_attention", "pyramid_attention"):
        manager, levels = (
            ("backbone_cbam_manager", ("stage1", "stage2", "stage3"))
            if place == "backbone_attention"
            else ("bifpn_cbam_manager", ("p3", "p4", "p5"))
        )
        return [
            *(
                (rf"{place}\.channel\.{i}\.{ours}\.", f"{manager}.channel_gates.{level}.mlp.{number}.")
                for i, level in enumerate(levels)
                for ours, number in (("reduce", 0), ("expand", 2))
            ),
            (rf"{place}\.spatial\.0\.mix\.conv\.", f"{manager}.spatial_gate.spatial.0."),
            (rf"{place}\.spatial\.0\.mix\.bn\.", f"{manager}.spatial_gate.spatial.1."),
        ]
    if kind == "coordinate" and place == "context_attention":
        return [
            (rf"{place}\.gates\.{i}\.{ours}\.", f"ca_p{i + 3}.{theirs}.")
            for i in range(3)
            for ours, theirs in (
                (r"transform\.conv", "conv_transform"),
                (r"transform\.bn", "bn_transform"),
                ("rows", "conv_h"),
                ("columns", "conv_w"),
            )
        ]
    return []


def published_names(keys: Iterable[str], config: NetworkConfig) -> dict[str, str]:
    """The published name of each of our keys.

    Args:
        keys: Keys of a state dict of ours, or module names followed by a dot.
        config: Of the network that the keys belong to.

    Returns:
        Ours to theirs, one to one.

    Raises:
        ModelError: A part of this configuration was never published (coordinate attention in front of
            SSH, for instance), so that no name exists for it.
    """
    rules = [
        *_BACKBONE,
        *_FUSION,
        *_NECK[config.bifpn],
        *_SSH[config.ssh],
        *_SHUFFLE[config.shuffle],
        *_HEADS[config.ssh == "grouped"],
        *_attention("backbone_attention", config.backbone_attention),
        *_attention("pyramid_attention", config.pyramid_attention),
        *_attention("context_attention", config.context_attention),
    ]
    compiled = [(re.compile(pattern), replacement) for pattern, replacement in rules]
    return {key: _rename(key, compiled) for key in keys}


def _rename(key: str, rules: list[tuple[re.Pattern[str], str]]) -> str:
    for pattern, replacement in rules:
        renamed, count = pattern.subn(replacement, key, count=1)
        if count and pattern.match(key):
            return renamed
    raise ModelError(f"{key}: this part has no name in the published layout; save it in our own format")
