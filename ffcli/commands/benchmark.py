"""``featherface benchmark``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from ffcli.messages import note_if_shipped
from ffcli.options import AsJson, Device, parse_size


def benchmark(
    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", help="A detector of ours: a file or a name. Repeat it to compare."),
    ] = None,
    onnx: Annotated[
        list[Path] | None,
        typer.Option("--onnx", help="Any other ONNX file; only its network is timed. Repeat it."),
    ] = None,
    backend: Annotated[
        Literal["onnxruntime", "openvino", "torch"] | None,
        typer.Option(
            help="What must run every --model (openvino: every --onnx too); by default what fits the file."
        ),
    ] = None,
    size: Annotated[str, typer.Option(help="Input of the networks: 640, or HEIGHTxWIDTH.")] = "640",
    batch: Annotated[int, typer.Option(min=1, help="Photos in one run.")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
    device: Device = "cpu",
    rounds: Annotated[int, typer.Option(min=1, help="In each, every candidate runs once.")] = 30,
    warmup: Annotated[int, typer.Option(min=0, help="Rounds before these that do not count.")] = 3,
    photo: Annotated[
        Path | None, typer.Option(help="What is read and looked at; by default a drawn picture.")
    ] = None,
    memory: Annotated[
        bool, typer.Option("--memory/--no-memory", help="Measure memory, each in a process of its own.")
    ] = True,
    plot: Annotated[
        Path | None, typer.Option(help="Draw time against AP of the files that state one (.png, .pdf, .svg).")
    ] = None,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only the result.")] = False,
) -> None:
    """Measure time and memory of detectors beside each other, from the file of a photo to the faces.

    Example: featherface benchmark --model v1.safetensors --photo photo.jpg --size 320 --rounds 10
    """
    from ffcli.requirements import require
    from ffcore.errors import ConfigError

    if as_json and as_csv:
        raise ConfigError("--json and --csv would both be printed; choose one")
    if plot is not None:
        require("matplotlib", "--plot")
    from ffcli.benchmark_table import print_benchmark
    from ffcli.render import ProgressLine
    from ffcore.benchmark import BenchmarkOptions, check_plot, plot_benchmark
    from ffcore.benchmark import benchmark as measure

    if plot is not None:
        check_plot(plot)
    options = BenchmarkOptions(
        size=parse_size(size),
        batch=batch,
        threads=threads,
        device=device,
        backend=backend,
        rounds=rounds,
        warmup=warmup,
        photo=photo,
        memory=memory,
    )
    for name in model or []:
        if not quiet:
            note_if_shipped(name)
    with ProgressLine(show=not quiet) as progress:
        result = measure(model or [], onnx or [], options=options, on_event=progress.on_event)
    if as_json:
        typer.echo(json.dumps(result.to_dict(), indent=1, allow_nan=False))
    elif as_csv:
        typer.echo(result.to_csv(), nl=False)
    else:
        print_benchmark(result)
    if plot is not None:  # last, so that a picture that cannot be drawn costs no figures
        plot_benchmark(plot, result)
