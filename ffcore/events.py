"""What a long job reports while it runs.

The library draws nothing: a job takes ``on_event`` and calls it with one of these small values;
the command line turns them into bars and lines, a notebook may do something else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """Base of everything that is reported."""


@dataclass(frozen=True)
class Started(Event):
    """A job begins.

    Args:
        what: What is counted, in the plural ("images", "frames").
        total: How many there are, or None when nobody knows (a camera).
    """

    what: str
    total: int | None


@dataclass(frozen=True)
class Advanced(Event):
    """One more item is done.

    Args:
        name: The item, as the user knows it.
        faces: How many faces were found in it.
    """

    name: str
    faces: int = 0


@dataclass(frozen=True)
class Failed(Event):
    """One item could not be done; the job goes on.

    Args:
        name: The item, as the user knows it.
        reason: One line.
    """

    name: str
    reason: str


@dataclass(frozen=True)
class Noticed(Event):
    """Something that changes how a result should be read (a photo was shrunk, sound was left out).

    Args:
        name: The item it is about.
        message: One line.
        settings: Names of settings in the message, as the library has them. A caller whose users know them by
            other names, such as options of a command, puts those in.
    """

    name: str
    message: str
    settings: tuple[str, ...] = ()


OnEvent = Callable[[Event], None]


def ignore(event: Event) -> None:
    """The listener of a caller who does not listen."""
