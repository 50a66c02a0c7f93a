"""What an exported detector says about itself, as text entries inside the ONNX file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ffcore.coordinates import is_coordinate
from ffcore.errors import ConfigError
from ffcore.geometry.anchors import PUBLISHED, AnchorConfig
from ffcore.geometry.resize import MEAN_BGR

PREFIX = "featherface."
"""Start of every key, so that entries of other tools stay apart."""


@dataclass(frozen=True)
class DetectorFacts:
    """What a caller must know to feed a detector and to read its outputs.

    The defaults are those of the published networks; they hold for a file that says nothing.

    Args:
        network: Name of the network, or "" when unknown.
        mean: Subtracted from the channels, in the order of `channel_order`.
        channel_order: How the input's channels are arranged.
        anchors: What the offsets refer to.
        score_threshold: Recommended by whoever made the file, or None.
        nms_threshold: Likewise.
        licence: Of the weights, or "".
        version: Of the package that wrote the file, or "".
    """

    network: str = ""
    mean: tuple[float, float, float] = MEAN_BGR
    channel_order: Literal["BGR", "RGB"] = "BGR"
    anchors: AnchorConfig = PUBLISHED
    score_threshold: float | None = None
    nms_threshold: float | None = None
    licence: str = ""
    version: str = ""

    def to_metadata(self) -> dict[str, str]:
        """The entries to write into an ONNX file; what is unknown is left out."""
        entries = {
            "network": self.network,
            "mean": ",".join(f"{value:g}" for value in self.mean),
            "channel_order": self.channel_order,
            "strides": json.dumps(self.anchors.strides),
            "min_sizes": json.dumps(self.anchors.min_sizes),
            "variances": json.dumps(self.anchors.variances),
            "score_threshold": "" if self.score_threshold is None else repr(self.score_threshold),
            "nms_threshold": "" if self.nms_threshold is None else repr(self.nms_threshold),
            "licence": self.licence,
            "version": self.version,
        }
        return {PREFIX + key: value for key, value in entries.items() if value}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> DetectorFacts:
        """Read the entries of an ONNX file; those of other tools are passed over.

        Args:
            metadata: All entries of the file.

        Raises:
            ConfigError: An entry of ours cannot be read.
        """
        own = {key.removeprefix(PREFIX): value for key, value in metadata.items() if key.startswith(PREFIX)}
        order = own.get("channel_order", "BGR")
        if order not in ("BGR", "RGB"):
            raise ConfigError(f"its entry {PREFIX}channel_order is {order!r}; BGR or RGB was expected")
        mean = _numbers(own, "mean", MEAN_BGR)
        variances = _numbers(own, "variances", PUBLISHED.variances)
        if len(mean) != 3 or len(variances) != 2:
            raise ConfigError(f"its entries {PREFIX}mean and {PREFIX}variances need three and two numbers")
        return cls(
            network=own.get("network", ""),
            mean=(mean[0], mean[1], mean[2]),
            channel_order=order,  # type: ignore[arg-type]  # checked above
            anchors=AnchorConfig(
                min_sizes=_levels(own, PUBLISHED.min_sizes),
                strides=tuple(int(stride) for stride in _numbers(own, "strides", PUBLISHED.strides)),
                variances=(variances[0], variances[1]),
            ),
            score_threshold=_fraction(own, "score_threshold"),
            nms_threshold=_fraction(own, "nms_threshold"),
            licence=own.get("licence", ""),
            version=own.get("version", ""),
        )


def _parsed(own: Mapping[str, str], key: str) -> Any:
    """The value of an entry: JSON, or numbers with commas between."""
    text = own[key]
    try:
        return json.loads(text if text.lstrip().startswith("[") else f"[{text}]")
    except (ValueError, RecursionError):  # no JSON, a number of thousands of digits, or lists without end
        raise ConfigError(f"its entry {PREFIX}{key} cannot be read: {text[:60]!r}") from None


def _numbers(own: Mapping[str, str], key: str, default: tuple[float, ...]) -> tuple[float, ...]:
    if key not in own:
        return default
    values = _parsed(own, key)
    if not all(isinstance(value, int | float) and is_coordinate(value) for value in values):
        raise ConfigError(f"its entry {PREFIX}{key} must be a list of numbers, not {own[key][:60]!r}")
    return tuple(values)


def _levels(own: Mapping[str, str], default: tuple[tuple[int, ...], ...]) -> tuple[tuple[int, ...], ...]:
    if "min_sizes" not in own:
        return default
    levels = _parsed(own, "min_sizes")
    if not all(
        isinstance(level, list) and all(isinstance(v, int) and is_coordinate(v) for v in level)
        for level in levels
    ):
        raise ConfigError(f"its entry {PREFIX}min_sizes must be a list of lists of whole numbers")
    return tuple(tuple(level) for level in levels)


def _fraction(own: Mapping[str, str], key: str) -> float | None:
    values = _numbers(own, key, ())
    if not values:
        return None
    if len(values) != 1 or not 0 <= values[0] <= 1:
        raise ConfigError(f"its entry {PREFIX}{key} must be one number in 0..1, not {own[key][:60]!r}")
    return float(values[0])
