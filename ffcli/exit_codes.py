"""What the exit status means: one table, printed in every help text."""

from __future__ import annotations

from ffcore.errors import (
    ConfigError,
    ExportError,
    FeatherFaceError,
    InputError,
    MissingDependencyError,
    ModelError,
)


class InterruptedRunError(FeatherFaceError):
    """A run that was stopped from outside and can go on; the message says how."""


DONE, INTERNAL, USAGE, INPUT, MODEL, EXPORT, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130

EXIT_CODES: dict[int, str] = {
    DONE: "done",
    INTERNAL: "internal error",
    USAGE: "usage",
    INPUT: "input data",
    MODEL: "model",
    EXPORT: "export or parity",
    INTERRUPTED: "interrupted",
}

EPILOG = "Exit codes: " + ", ".join(f"{code} {meaning}" for code, meaning in EXIT_CODES.items()) + "."

_BY_ERROR: tuple[tuple[type[FeatherFaceError], int], ...] = (
    (ConfigError, USAGE),
    (MissingDependencyError, USAGE),
    (InputError, INPUT),
    (ModelError, MODEL),
    (ExportError, EXPORT),
    (InterruptedRunError, INTERRUPTED),
)


def exit_code(error: FeatherFaceError) -> int:
    """The status that tells a script what kind of error it was."""
    return next((code for kind, code in _BY_ERROR if isinstance(error, kind)), INTERNAL)
