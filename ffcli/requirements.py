"""One line for a command whose part of the package is not installed."""

from __future__ import annotations

import importlib.util

from ffcore.errors import MissingDependencyError


def require(package: str, command: str) -> None:
    """Refuses to go on without a package of the larger installation.

    Args:
        package: As it is imported.
        command: What needs it.

    Raises:
        MissingDependencyError: The package is not installed.
    """
    if importlib.util.find_spec(package) is None:
        raise MissingDependencyError(f'{command} needs {package}: pip install "featherface[train]"')
