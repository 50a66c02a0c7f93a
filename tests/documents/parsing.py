"""What the command line parser makes of a command, without running it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer

from ffcli.app import app
from tests.documents.documents import redirections, simple_commands

_PROGRAM: Any = typer.main.get_command(app)
# Options that name what a command makes, where they have a value.
_MADE = ("out", "crops", "coco", "package", "preview", "widerface", "plots", "save_predictions")


def calls(text: str) -> list[list[str]]:
    """The arguments of each `featherface` that a command line starts, also as a module and by `torchrun`."""
    found = []
    for words in simple_commands(text):
        if words[0] == "featherface":
            found.append(words[1:])
        elif words[0] == "torchrun":
            found.append(_after_torchrun(words[1:]))
        elif words[:3] == ["python", "-m", "ffcli"]:
            found.append(words[3:])
    return found


def _after_torchrun(words: list[str]) -> list[str]:
    """What `torchrun` hands to the program; its own options are checked by its own parser."""
    from torch.distributed.run import get_args_parser

    options = get_args_parser().parse_args(words)
    assert options.module
    assert options.training_script == "ffcli"
    return list(options.training_script_args)


def understood(arguments: list[str]) -> Mapping[str, Any]:
    """The values of a command's parameters.

    Raises:
        ClickException: The command or an option does not exist, or a value cannot be.
    """
    name, *rest = arguments
    group = _PROGRAM.make_context("featherface", [name])
    _, command, _ = _PROGRAM.resolve_command(group, [name])
    values: Mapping[str, Any] = command.make_context(name, rest, parent=group).params
    return values


def promised(text: str) -> list[str]:
    """Files and folders that are there after a command."""
    values = [understood(arguments) for arguments in calls(text)]
    made = [each[option] for each in values for option in _MADE if each.get(option)]
    return redirections(text) + [str(path) for path in made if path is not True]
