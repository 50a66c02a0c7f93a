"""Single lines for people: messages on stderr, plain rows on stdout."""

from __future__ import annotations

import sys


def error_line(message: str) -> None:
    """One line on stderr, as every error has it."""
    note_line(f"featherface: {message}")


def note_line(message: str) -> None:
    """One line on stderr."""
    sys.stderr.write(message + "\n")
