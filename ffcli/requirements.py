"""One line for a command whose part of the package is not installed."""

from __future__ import annotations

import importlib.util

from ffcore.errors import MissingDependencyError

_EXTRAS = {"torch": "train", "matplotlib": "eval", "fsspec": "ray", "pyarrow": "ray", "ray": "ray"}
"""Package to the smallest part of the installation that brings it."""


def require(package: str, command: str) -> None:
    """Refuses to go on without a package that the smallest installation leaves out.

    Args:
        package: One of `_EXTRAS`.
        command: What needs it.

    Raises:
        MissingDependencyError: The package is not installed.
    """
    if importlib.util.find_spec(package) is None:
        raise MissingDependencyError(
            f'{command} needs {package}: pip install "featherface[{_EXTRAS[package]}]"'
        )
