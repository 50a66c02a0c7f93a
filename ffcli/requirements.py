"""One line for a command whose part of the package is not installed."""

from __future__ import annotations

import importlib.util

from ffcore.errors import MissingDependencyError


def require_torch(command: str) -> None:
    """Refuses to go on without torch.

    Args:
        command: What needs it.

    Raises:
        MissingDependencyError: torch is not installed.
    """
    if importlib.util.find_spec("torch") is None:
        raise MissingDependencyError(f'{command} needs torch: pip install "featherface[train]"')
