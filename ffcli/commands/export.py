"""``featherface export``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ffcli.messages import note_if_shipped
from ffcli.options import AsJson, parse_size

if TYPE_CHECKING:
    from ffcore.export.job import Exported


def export(
    model: Annotated[
        str, typer.Option("--model", "-m", help="Weights (.pth, .safetensors), or a name such as v2.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write; an older one is replaced.")],
    format: Annotated[  # noqa: A002  # the name of the option
        Literal["onnx", "torchscript", "pt2", "safetensors", "pth"] | None,
        typer.Option("--format", "-f", help="By default what the name of --out says."),
    ] = None,
    static: Annotated[
        str | None,
        typer.Option(metavar="HxW", help="Fix height and width, and a batch of 1, for engines that need it."),
    ] = None,
    layout: Annotated[
        Literal["featherface", "published"],
        typer.Option(help="Names of the tensors in a .pth: ours, or those of the published code."),
    ] = "featherface",
    end_to_end: Annotated[
        bool,
        typer.Option(
            "--end-to-end", help="ONNX from the decoded photo to faces in pixels: decoding and NMS inside."
        ),
    ] = False,
    score: Annotated[
        float | None, typer.Option(min=0, max=1, help="Score threshold inside an --end-to-end graph.")
    ] = None,
    nms: Annotated[float | None, typer.Option(min=0, max=1, help="IoU of its NMS.")] = None,
    max_faces: Annotated[int | None, typer.Option(min=1, help="It gives at most so many faces.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write a network for another runtime, after comparing it with torch.

    A file that computes something else than its source is not written; the exit code is 5 then.

    Example: featherface export --model v1.safetensors --out v1.onnx
    """
    from ffcli.requirements import require

    require("torch", "export")
    from ffcore.detection.options import DetectorOptions
    from ffcore.errors import ConfigError
    from ffcore.export.job import export as export_network

    size = None if static is None else parse_size(static)
    note_if_shipped(model)
    given: dict[str, Any] = {"score": score, "nms": nms, "max_faces": max_faces}
    given = {name: value for name, value in given.items() if value is not None}
    if given and not end_to_end:
        raise ConfigError("--score, --nms and --max-faces are for --end-to-end")
    done = export_network(
        model,
        out,
        format=format,
        size=size,
        layout=layout,
        end_to_end=DetectorOptions(**given) if end_to_end else None,
    )
    if as_json:
        typer.echo(json.dumps(done.to_dict(), indent=1))
    else:
        _print(done)


def _print(done: Exported) -> None:
    """The file, and how it compares."""
    from rich.table import Table
    from rich.text import Text

    from ffcli.render import console_for

    console = console_for("stdout")
    console.print(Text(f"{done.path}: {done.network} as {done.format}, {done.size / 1e6:.2f} MB"))
    if not done.differences:
        console.print(Text("every tensor was read back and equals its source", style="dim"))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("images", "size", "boxes", "probabilities", "landmarks"):
        table.add_column(column, justify="right")
    for found in done.differences:
        case = found.case
        numbers = (f"{value:.1e}" for value in (found.boxes, found.classes, found.landmarks))
        table.add_row(str(case.batch), f"{case.height}×{case.width}", *numbers)
    allowed = done.tolerance
    table.add_section()
    table.add_row("", "allowed", f"{allowed.boxes:.0e}", f"{allowed.classes:.0e}", f"{allowed.landmarks:.0e}")
    console.print(Text("largest differences from torch:", style="dim"))
    console.print(table)
    if done.faces:
        faces, unmatched = (
            sum(getattr(found, name) for found in done.faces) for name in ("faces", "unmatched")
        )
        console.print(
            Text(f"end to end: {faces:,} faces as the library finds them, {unmatched} by only one of the two")
        )
