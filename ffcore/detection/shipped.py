"""The weights that come with the package: one visible table."""

from __future__ import annotations

from pathlib import Path

from ffcore.errors import UnknownModelError, did_you_mean
from ffcore.models.variants import VARIANTS

SHIPPED: dict[str, Path] = {}
"""Name of a network to the file of its weights. None come with this version."""


def shipped_weights(name: str) -> Path:
    """The file of the weights that come with the package under this name.

    Raises:
        UnknownModelError: There is no such network, or no weights of it.
    """
    if name in SHIPPED:
        return SHIPPED[name]
    if name in VARIANTS:
        raise UnknownModelError(
            f"no weights of {name!r} come with this version; "
            "give the path of a file (.onnx, .pth, .safetensors)"
        )
    raise UnknownModelError(
        f"{name!r} is neither a file nor the name of a network: {did_you_mean(name, VARIANTS)}"
    )
