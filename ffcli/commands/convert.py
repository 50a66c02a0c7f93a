"""``featherface convert``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def convert(
    table: Annotated[str, typer.Argument(help="Folder or URI of the results of detect --engine ray.")],
    coco: Annotated[Path | None, typer.Option(help="File for one COCO document.")] = None,
    crops: Annotated[
        Path | None,
        typer.Option(help="Folder for 112×112 crops, aligned on the landmarks; reads the photos."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only errors.")] = False,
) -> None:
    """Make a COCO document or aligned crops from a table of faces, without detecting again.

    Example: featherface convert table --coco faces.json --crops faces
    """
    from ffcli.render import ProgressLine
    from ffcli.requirements import require
    from ffcore.errors import ConfigError

    require("pyarrow", "convert")
    require("fsspec", "convert")
    from ffcore.jobs.convert import write_coco_of, write_crops_of

    if coco is None and crops is None:
        raise ConfigError("nothing to make: give --coco FILE, --crops FOLDER, or both")
    with ProgressLine(show=not quiet) as line:
        if coco is not None:
            images = write_coco_of(table, coco, on_event=line.on_event)
            sys.stdout.write(f"{coco}\t{images:,} images\n")
        if crops is not None:
            count = write_crops_of(table, crops, on_event=line.on_event)
            sys.stdout.write(f"{crops}\t{count:,} crops\n")
