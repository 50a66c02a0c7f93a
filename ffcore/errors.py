"""What can go wrong for a user, as one family of exceptions.

Every message is one line: what is wrong, where, and what to do next::

    FeatherFaceError
    ├── ConfigError              a setting or an argument that cannot be
    ├── MissingDependencyError   an optional package is not installed, or does not fit its partner
    ├── InputError               data that the user supplied: photos, videos, labels, predictions
    │   ├── ImageError           one image that cannot be read
    │   └── MissingPredictionsError  images to be evaluated that have no prediction
    ├── ModelError               a network or its weights
    │   ├── UnknownModelError    a name that stands for no network, or one without weights
    │   └── CheckpointError      a file that cannot be used as the checkpoint it was given as
    └── ExportError              an exported file that differs from its source

Subclasses with more detail live where they are raised. Anything else that escapes the library is a
defect in it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")

_LONGEST, _END = 2000, 500  # letters of a message, and of its end that stays in any case


class FeatherFaceError(Exception):
    """Base of everything the library raises on purpose.

    A message is one line whatever it quotes: control characters in the name of a file, or in a line of it,
    are written as escapes, so that they neither break the line nor reach a terminal, and of a quotation
    without end the middle is left out.

    Args:
        message: What is wrong, where, and what next.
    """

    def __init__(self, message: str = "") -> None:
        line = _CONTROL.sub(lambda found: repr(found[0])[1:-1], message)
        super().__init__(line if len(line) <= _LONGEST else f"{line[: _LONGEST // 2]} … {line[-_END:]}")

    def __reduce__(self) -> tuple[Any, ...]:
        """What pickle keeps, so that an error of a subclass with arguments of its own crosses processes."""
        return _restored, (type(self), self.args, self.__dict__)


class ConfigError(FeatherFaceError, ValueError):
    """A setting or an argument has an impossible value."""


class MissingDependencyError(FeatherFaceError, ImportError):
    """An optional package is missing, or is installed in a version that does not fit its partner."""


class InputError(FeatherFaceError):
    """Data supplied by the user cannot be used as it is."""


class ImageError(InputError):
    """One image cannot be read.

    Args:
        source: The file, or a description of the object, as the user knows it.
        reason: What is wrong and what to do, without the name.
    """

    def __init__(self, source: str | Path, reason: str) -> None:
        super().__init__(f"{source}: {reason}")
        self.source = str(source)
        self.reason = reason


class MissingPredictionsError(InputError):
    """Images of the ground truth have no prediction, which is not the same as "no faces found".

    Args:
        message: How many, and the first of them.
        missing: The names of all of them.
    """

    def __init__(self, message: str, *, missing: Sequence[str]) -> None:
        super().__init__(message)
        self.missing = tuple(missing)


class ModelError(FeatherFaceError):
    """A network or its weights cannot be used."""


class UnknownModelError(ModelError):
    """A name stands for no network, or for one whose weights are not here."""


class CheckpointError(ModelError):
    """A file cannot be used as the checkpoint it was given as.

    Args:
        path: The file as the user named it.
        reason: What is wrong and what to do, without the name.
    """

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = str(path)
        self.reason = reason


class ExportError(FeatherFaceError):
    """An exported file could not be made, or does not compute what its source computes."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """End of a message about an unknown word: the nearest known ones, or all of them.

    Args:
        word: What was given.
        known: What would have been accepted.

    Returns:
        ``"did you mean 'v2'?"``, or ``"choose one of a, b, c"`` when nothing is near.
    """
    names = list(known)
    near = difflib.get_close_matches(word, names, n=3, cutoff=0.6)
    if near:
        return f"did you mean {' or '.join(repr(name) for name in near)}?"
    return f"choose one of {', '.join(names)}"


def one_line(error: BaseException, *, limit: int = 200) -> str:
    """What an error of another library says, as a part of one line of ours.

    Args:
        error: Its text may have many lines, or none.
        limit: Longer texts are cut, characters.
    """
    reason = getattr(error, "strerror", None) or error  # without the number and the name of the file
    text = " ".join(str(reason).split()) or type(error).__name__
    return text if len(text) <= limit else f"{text[:limit]} ..."


def _restored(kind: type[FeatherFaceError], args: tuple[Any, ...], state: dict[str, Any]) -> FeatherFaceError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error
