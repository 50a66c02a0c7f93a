"""What a training is shown with."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from ffcli.training.state import TrainingState
from ffcore.events import Event

LAST_STEP = "finishing this step and saving; once more to leave at once"
"""Said at the first Ctrl-C."""


class Display:
    """What a training is shown with; this one shows nothing.

    Attributes:
        state: What is known of the training.
    """

    def __init__(self) -> None:
        self.state = TrainingState()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def on_event(self, event: Event) -> None:
        """Shows an event."""
        self.state.on_event(event)

    def say(self, line: str) -> None:
        """Shows a line that is no event."""

    def interrupted(self) -> None:
        """Says that the run will stop soon; a signal calls it, in the middle of anything."""
