"""The weights that come with the package: one visible table."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from ffcore.errors import UnknownModelError, did_you_mean
from ffcore.models.variants import VARIANTS


class ShippedWeights(NamedTuple):
    """The same weights in two files; beside them lies a model card."""

    onnx: Path
    """Graph and weights, for ONNX Runtime."""
    tensors: Path
    """The weights alone, for torch: to export, to train on, to count."""


_FOLDER = Path(__file__).parents[1] / "weights"

SHIPPED: dict[str, ShippedWeights] = {
    "v2": ShippedWeights(_FOLDER / "v2.onnx", _FOLDER / "v2.safetensors"),
}
"""Name of a network to its weights."""


def shipped_weights(name: str) -> ShippedWeights:
    """The weights that come with the package under this name.

    Raises:
        UnknownModelError: There is no such network, or no weights of it.
    """
    if name in SHIPPED:
        return SHIPPED[name]
    if name in VARIANTS:
        raise UnknownModelError(
            f"no weights of {name!r} come with this version, only {', '.join(SHIPPED)}; "
            "give the path of a file (.onnx, .pth, .safetensors)"
        )
    raise UnknownModelError(
        f"{name!r} is neither a file nor the name of a network: {did_you_mean(name, VARIANTS)}"
    )


def shipped_file(name: str) -> Path | None:
    """The file that comes with the package under this very name, such as ``v2.onnx``; None for any other."""
    return next((path for weights in SHIPPED.values() for path in weights if path.name == name), None)
