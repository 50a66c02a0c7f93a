"""``featherface detect``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ffcli.cluster_options import (
    Address,
    Engine,
    GpusPerActor,
    ImageColumn,
    MaxErrors,
    RayOptions,
    ShardSize,
    Workers,
    refuse,
    refuse_without_ray,
)
from ffcli.exit_codes import INPUT
from ffcli.options import AnonymizeMethod, AsJson, Device, Threads, parse_size


def detect(
    sources: Annotated[
        list[str],
        typer.Argument(help="Photos, videos, folders, patterns, a camera number, or - for names on stdin."),
    ],
    model: Annotated[
        str, typer.Option("--model", "-m", help="Weights (.onnx, .pth, .safetensors), or a shipped name.")
    ] = "v2",
    out: Annotated[
        str | None,
        typer.Option(
            "--out", "-o", help="Folder (or file) for copies with the faces drawn; with ray, a table."
        ),
    ] = None,
    anonymize: Annotated[
        AnonymizeMethod | None, typer.Option(help="Hide the faces in these copies instead of drawing them.")
    ] = None,
    hold: Annotated[
        int, typer.Option(min=0, help="Frames over which a missed face stays hidden in a video.")
    ] = 8,
    crops: Annotated[
        Path | None, typer.Option(help="Folder for 112×112 crops, aligned on the landmarks.")
    ] = None,
    widerface: Annotated[
        Path | None, typer.Option(help="Folder for result files in the WIDER FACE layout.")
    ] = None,
    as_json: AsJson = False,
    jsonl: Annotated[
        bool, typer.Option("--jsonl", help="Print one JSON record a line, as they come.")
    ] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print one line a face.")] = False,
    coco: Annotated[bool, typer.Option("--coco", help="Print one COCO document.")] = False,
    score: Annotated[
        float | None, typer.Option(min=0, max=1, help="Faces must score more. Default: the model's, or 0.5.")
    ] = None,
    nms: Annotated[
        float | None, typer.Option(min=0, max=1, help="IoU above which of two boxes the better stays. [0.4]")
    ] = None,
    max_faces: Annotated[int, typer.Option(min=1, help="At most so many faces an image.")] = 750,
    max_side: Annotated[
        int | None,
        typer.Option(min=0, help="Shrink photos with a longer side than this; 0 never does. [2048]"),
    ] = None,
    size: Annotated[
        str | None, typer.Option(help="Fit every photo into this input: 640, or HEIGHTxWIDTH.")
    ] = None,
    tile: Annotated[
        int | None,
        typer.Option(help="Search in overlapping tiles of this side, 128 or more."),
    ] = None,
    close_ups: Annotated[
        bool, typer.Option(help="Search large photos again at a small scale, for faces that fill them.")
    ] = True,
    max_frames: Annotated[
        int | None, typer.Option(min=1, help="Stop a video or camera after so many frames.")
    ] = None,
    device: Device = "auto",
    threads: Threads = None,
    engine: Engine = "process",
    address: Address = None,
    workers: Workers = None,
    gpus_per_actor: GpusPerActor = RayOptions.gpus_per_actor,
    max_errors: MaxErrors = None,
    shard_size: ShardSize = RayOptions.shard_size,
    image_column: ImageColumn = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no table, only errors.")] = False,
) -> None:
    """Find faces and five landmarks in photos, videos or a camera.

    Results go to stdout, everything else to stderr. A file that cannot be read is named; the others go
    on, and the exit code is 3.

    Example: featherface detect photo.jpg --out faces
    """
    from ffcore.detection.detector import DetectorSettings

    settings: DetectorSettings = {"max_faces": max_faces, "close_ups": close_ups, "tile": tile}
    if score is not None:
        settings["score"] = score
    if nms is not None:
        settings["nms"] = nms
    if max_side is not None:
        settings["max_side"] = max_side or None
    if size is not None:
        settings["size"] = parse_size(size)
    names = [line for name in sources for line in (_stdin_names() if name == "-" else [name])]
    ray = RayOptions(
        address=address,
        workers=workers,
        gpus_per_actor=gpus_per_actor,
        max_errors=max_errors,
        shard_size=shard_size,
        image_column=image_column,
    )
    if engine == "ray":
        from ffcli.cluster import detect_with_ray

        refuse({"--crops": crops, "--widerface": widerface, "--jsonl": jsonl, "--csv": csv, "--coco": coco})
        refuse({"--max-frames": max_frames, "--threads": threads, "--device": device != "auto"})
        detect_with_ray(
            names,
            out=out,
            model=model,
            anonymize=anonymize,
            options=ray,
            settings=settings,
            as_json=as_json,
            quiet=quiet,
        )
        return
    refuse_without_ray(ray)
    from ffcli.messages import note_if_shipped
    from ffcli.render import Reporter
    from ffcli.results import printer
    from ffcore.detection import FaceDetector
    from ffcore.detection.job import Outputs, detect_sources
    from ffcore.errors import ConfigError
    from ffcore.images import find_sources

    if anonymize is not None and out is None:
        raise ConfigError("--anonymize needs a place for the changed copies: give --out, a folder or a file")
    show = printer(as_json=as_json, jsonl=jsonl, csv=csv, coco=coco)
    outputs = Outputs(out=out, anonymize=anonymize, hold=hold, crops=crops, widerface=widerface)
    if not quiet:
        note_if_shipped(model)
    detector = FaceDetector.load(model, device=device, threads=threads, **settings)

    found_sources, problems = find_sources(names)
    with Reporter(table=not quiet, progress=not quiet, results_on_stdout=show.prints) as report:
        report.engine(detector.backend)
        for problem in problems:
            report.problem(str(problem))
        for found in detect_sources(
            detector, found_sources, outputs=outputs, max_frames=max_frames, on_event=report.on_event
        ):
            show.add(found)
            report.add(found)
        show.close()
    if report.failed:
        raise typer.Exit(INPUT)


def _stdin_names() -> list[str]:
    from ffcore.images.sources import listed_names

    return listed_names(sys.stdin.buffer.read(), name="stdin")
