"""``featherface count-params``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ffcli.exit_codes import INPUT
from ffcli.messages import error_line
from ffcli.options import AsJson, parse_size


def count_params(
    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", help="A network: v1-original, v1, v2, v2-ca. Repeat it to compare."),
    ] = None,
    weights: Annotated[
        list[Path] | None, typer.Option("--weights", help="A checkpoint to count. Repeat it to compare.")
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change a field of every --model, such as out_channel=24."),
    ] = None,
    size: Annotated[str, typer.Option(help="Image size for the MACs: 640, or HEIGHTxWIDTH.")] = "640",
    depth: Annotated[int, typer.Option(min=0, max=8, help="List modules down to this depth.")] = 0,
    repeats: Annotated[
        int, typer.Option("--time", min=0, help="Also time so many forward passes on the CPU.")
    ] = 0,
    max_params: Annotated[
        int | None, typer.Option(min=0, help="Exit with 3 when a network has more parameters.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Count parameters, multiply-accumulates and megabytes of a network, by component.

    With two or more networks, the reductions against the first one are shown.

    Example: featherface count-params --model v1 --model v2
    """
    from ffcli.render import print_profiles
    from ffcli.requirements import require

    require("torch", "count-params")
    from ffcore.models.profile import profile_all

    profiles = profile_all(
        names=model or [],
        weights=weights or [],
        settings=setting or [],
        size=parse_size(size),
        depth=depth,
        repeats=repeats,
    )
    if as_json:
        typer.echo(json.dumps([found.to_dict() for found in profiles], indent=1))
    else:
        print_profiles(profiles)
    above = [found for found in profiles if max_params is not None and found.total.parameters > max_params]
    for found in above:
        error_line(f"{found.network}: {found.total.parameters:,} parameters are more than {max_params:,}")
    if above:
        raise typer.Exit(INPUT)
