"""Single lines for people: messages on stderr, plain rows on stdout."""

from __future__ import annotations

import sys
from pathlib import Path


def error_line(message: str) -> None:
    """One line on stderr, as every error has it."""
    note_line(f"featherface: {message}")


def note_line(message: str) -> None:
    """One line on stderr."""
    sys.stderr.write(message + "\n")


def note_if_shipped(model: str) -> None:
    """Says so when somebody named a file that is not there and means the one of the package."""
    from ffcore.detection.shipped import shipped_file

    if shipped_file(model) is not None and not Path(model).is_file():
        note_line(f"{model}: no such file here; taking the weights of that name that come with the package")
