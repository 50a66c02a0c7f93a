"""FeatherFace: faces and five landmarks from very small networks.

The names listed in ``__all__`` are the public surface. They are loaded on first use, so that
``import ffcore`` costs nothing and detecting through ONNX Runtime never touches torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ffcore._version import __version__

if TYPE_CHECKING:
    from ffcore.errors import (
        CheckpointError as CheckpointError,
    )
    from ffcore.faces import Faces as Faces

_HOME = {
    "Faces": "ffcore.faces",
    "LANDMARK_NAMES": "ffcore.faces",
}
"""Where each public name lives."""

__all__ = ["__version__", *sorted(_HOME)]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'ffcore' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
