"""``featherface export``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ffcli.messages import note_if_shipped
from ffcli.options import AsJson, parse_size

if TYPE_CHECKING:
    from ffcore.export.job import Exported, Format
    from ffcore.export.web.page import WebPage
    from ffcore.models.weights import Layout


def export(
    model: Annotated[
        str, typer.Option("--model", "-m", help="Weights (.pth, .safetensors), or a name such as v2.")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The file to write, or the folder of a web page; replaced.")
    ],
    format: Annotated[  # noqa: A002  # the name of the option
        Literal["onnx", "torchscript", "pt2", "safetensors", "pth", "web"] | None,
        typer.Option(
            "--format", "-f", help="By default what the name of --out says; a web page must be asked for."
        ),
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
        float | None,
        typer.Option(
            min=0, max=1, help="Score threshold inside an --end-to-end graph, or where a page starts."
        ),
    ] = None,
    nms: Annotated[float | None, typer.Option(min=0, max=1, help="IoU of its NMS.")] = None,
    max_faces: Annotated[int | None, typer.Option(min=1, help="It gives at most so many faces.")] = None,
    runtime: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|DIR",
            help="onnxruntime-web for a page, .tgz or unpacked, in place of downloading it.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a network for another runtime, after comparing it with torch.

    A file that computes something else than its source is not written; the exit code is 5 then.

    --format web writes a folder for any static host: a page that hides faces on the visitor's device.

    Example: featherface export --model v1.safetensors --out v1.onnx
    """
    from ffcli.requirements import require

    require("torch", "export")
    from ffcore.errors import ConfigError

    thresholds: dict[str, Any] = {"score": score, "nms": nms, "max_faces": max_faces}
    given = {name: value for name, value in thresholds.items() if value is not None}
    done: Exported | WebPage
    if format == "web":
        if static or layout != "featherface" or end_to_end:
            raise ConfigError("--static, --layout and --end-to-end are not for a web page")
        done = _write_page(model, out, runtime=runtime, given=given)
    else:
        if given and not end_to_end:
            raise ConfigError("--score, --nms and --max-faces are for --end-to-end and for web pages")
        if runtime:
            raise ConfigError("--runtime is for --format web")
        done = _write_file(
            model, out, format=format, static=static, layout=layout, end_to_end=given if end_to_end else None
        )
    if as_json:
        typer.echo(json.dumps(done.to_dict(), indent=1))
    else:
        _print(done)


def _write_page(model: str, out: Path, *, runtime: Path | None, given: dict[str, Any]) -> WebPage:
    from ffcore.export.web.page import write_page

    note_if_shipped(model)
    return write_page(model, out, runtime=runtime, **given)


def _write_file(
    model: str,
    out: Path,
    *,
    format: Format | None,  # noqa: A002  # as above
    static: str | None,
    layout: Layout,
    end_to_end: dict[str, Any] | None,
) -> Exported:
    from ffcore.detection.options import DetectorOptions
    from ffcore.export.job import export as export_network

    size = None if static is None else parse_size(static)
    note_if_shipped(model)
    return export_network(
        model,
        out,
        format=format,
        size=size,
        layout=layout,
        end_to_end=None if end_to_end is None else DetectorOptions(**end_to_end),
    )


def _print(written: Exported | WebPage) -> None:
    """The file or the folder, and how the network in it compares."""
    from rich.table import Table
    from rich.text import Text

    from ffcli.render import console_for
    from ffcore.export.job import Exported

    console = console_for("stdout")
    done = written if isinstance(written, Exported) else written.model
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
    if not isinstance(written, Exported):
        size = f"{written.first_visit / 1e6:.2f} MB"
        console.print(Text(f"{written.folder}: a page for any static host; a first visit transfers {size}"))
