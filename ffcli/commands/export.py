"""``featherface export``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ffcli.messages import note_if_shipped
from ffcli.options import AsJson, parse_size

if TYPE_CHECKING:
    from ffcore.export.options import HalfOptions, Int8Options
    from ffcore.export.web.page import WebPage


def export(
    model: Annotated[
        str, typer.Option("--model", "-m", help="Weights (.pth, .safetensors), or a name such as v2.")
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The file to write, or the folder of a web page; replaced."),
    ] = None,
    package: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="In place of --out: a new folder with weights, graph and an example."
        ),
    ] = None,
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
    deform: Annotated[
        Literal["native", "gridsample"],
        typer.Option(
            help="ONNX operator of deformable convolutions; GridSample where DeformConv is unknown."
        ),
    ] = "native",
    graph: Annotated[
        Literal["fast", "plain"],
        typer.Option(
            help="ONNX rearranged for ONNX Runtime on a CPU, or as the network is built, for other engines."
        ),
    ] = "fast",
    end_to_end: Annotated[
        bool,
        typer.Option(
            "--end-to-end", help="ONNX from the decoded photo to faces in pixels: decoding and NMS inside."
        ),
    ] = False,
    score: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Score threshold inside an --end-to-end graph, or where a page starts. "
            "Default: the model's, or 0.5.",
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
    fp16: Annotated[bool, typer.Option("--fp16", help="ONNX in float16, compared on --calibrate.")] = False,
    half_io: Annotated[
        bool, typer.Option("--half-io", help="With --fp16: input and outputs in float16 too.")
    ] = False,
    int8: Annotated[
        bool,
        typer.Option("--int8", help="ONNX in int8, calibrated on --calibrate; AP and time are measured."),
    ] = False,
    calibrate: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Photos with faces, for --fp16 and --int8.")
    ] = None,
    calibrate_limit: Annotated[
        int, typer.Option(min=2, help="At most so many of them, evenly spread.")
    ] = 100,
    ground_truth: Annotated[
        Path | None, typer.Option("--ground-truth", "-g", help="With --int8: labels for the AP. See --data.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", "-d", help="Folder with the labelled photos.")
    ] = None,
    images: Annotated[
        Path | None, typer.Option("--images", help="File that lists the labelled photos to use.")
    ] = None,
    max_drop: Annotated[float, typer.Option(min=0, max=100, help="Points of AP that --int8 may lose.")] = 1.0,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads for measuring --int8.")] = 1,
    prune: Annotated[
        float | None,
        typer.Option(
            metavar="RATIO", help="Remove this part of the pyramid's channels, to train it further."
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
    from ffcli.export_table import print_export, print_page
    from ffcli.render import ProgressLine
    from ffcore.errors import ConfigError
    from ffcore.export.job import Exported
    from ffcore.export.job import export as export_network
    from ffcore.export.options import EndToEndOptions, ExportOptions
    from ffcore.export.package import export_package
    from ffcore.export.web.page import write_page

    given: dict[str, Any] = {"score": score, "nms": nms, "max_faces": max_faces}
    given = {name: value for name, value in given.items() if value is not None}
    web = format == "web"
    if given and not (end_to_end or web):
        raise ConfigError("--score, --nms and --max-faces are for --end-to-end and for web pages")
    if runtime is not None and not web:
        raise ConfigError("--runtime is for --format web")
    options = ExportOptions(
        format=None if format == "web" else format,  # a page is no format of a file
        size=None if static is None else parse_size(static),
        layout=layout,
        end_to_end=EndToEndOptions(**given) if end_to_end else None,
        deform=deform,
        form=graph,
        precision=_precision(
            fp16=fp16,
            half_io=half_io,
            int8=int8,
            photos=calibrate,
            limit=calibrate_limit,
            labels=(ground_truth, data, images),
            max_drop=max_drop,
            threads=threads,
        ),
        prune=prune,
    )
    if (out is None) == (package is None):
        raise ConfigError("give either --out for a file or --package for a folder")
    if web and package is not None:
        raise ConfigError("a web page goes to --out; leave out --package")
    if (web or package is not None) and options != ExportOptions():
        kind = "web page" if web else "package"
        raise ConfigError(f"a {kind} holds the network as it is; leave out the other options")
    note_if_shipped(model)
    done: Exported | WebPage
    with ProgressLine(show=int8 and not as_json) as progress:
        if package is not None:
            done = export_package(model, package)
        elif web:
            assert out is not None
            done = write_page(model, out, runtime=runtime, **given)
        else:
            assert out is not None
            done = export_network(model, out, options=options, on_event=progress.on_event)
    if as_json:
        typer.echo(json.dumps(done.to_dict(), indent=1))
    elif isinstance(done, Exported):
        print_export(done)
    else:
        print_page(done)


def _precision(
    *,
    fp16: bool,
    half_io: bool,
    int8: bool,
    photos: Path | None,
    limit: int,
    labels: tuple[Path | None, Path | None, Path | None],
    max_drop: float,
    threads: int,
) -> HalfOptions | Int8Options | None:
    """What --fp16 and --int8 and the options that belong to them ask for."""
    from ffcore.errors import ConfigError
    from ffcore.export.options import HalfOptions, Int8Options, Labels

    ground_truth, data, images = labels
    if fp16 and int8:
        raise ConfigError("--fp16 and --int8 exclude each other")
    if half_io and not fp16:
        raise ConfigError("--half-io is for --fp16")
    if any(labels) and not int8:
        raise ConfigError("--ground-truth, --data and --images are for --int8")
    if not (fp16 or int8):
        if photos is not None:
            raise ConfigError("--calibrate is for --fp16 and --int8")
        return None
    if photos is None:
        raise ConfigError(f"{'--fp16' if fp16 else '--int8'} needs photos with faces: give --calibrate DIR")
    if fp16:
        return HalfOptions(photos=photos, limit=limit, half_io=half_io)
    if (ground_truth is None) != (data is None) or (images is not None and data is None):
        raise ConfigError("--ground-truth and --data belong together, and --images to them")
    known = None
    if ground_truth is not None and data is not None:
        known = Labels(ground_truth=ground_truth, data=data, images=images)
    return Int8Options(photos=photos, limit=limit, labels=known, max_drop=max_drop, threads=threads)
