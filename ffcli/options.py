"""Options that several commands share, so that they read the same everywhere."""

from __future__ import annotations

import re
from typing import Annotated, Literal

import typer

Device = Annotated[
    str,
    typer.Option(help="auto, cpu, cuda, or an execution provider of ONNX Runtime by name."),
]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads; by default the library decides.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]

AnonymizeMethod = Literal["blur", "pixelate", "solid"]


def parse_size(text: str) -> tuple[int, int]:
    """Height and width from ``640`` or ``480x640`` (height first, as everywhere in the library).

    Raises:
        typer.BadParameter: The text is neither.
    """
    match = re.fullmatch(r"(\d{1,6})(?:[x×](\d{1,6}))?", text.strip())
    if not match or int(match[1]) < 1 or int(match[2] or 1) < 1:
        raise typer.BadParameter(f"{text!r} is no size; write 640, or HEIGHTxWIDTH such as 480x640.")
    return int(match[1]), int(match[2] or match[1])
