"""``featherface train``."""

# the options that are settings of the run are read from the context, see `typed_layers`
# ruff: noqa: ARG001

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ffcli.options import AsJson, Threads
from ffcli.training.options import (
    Accumulate,
    Amp,
    BatchSize,
    Cache,
    CheckData,
    Compile,
    ConfigFile,
    Data,
    DryRun,
    EarlyStopMetric,
    Ema,
    Epochs,
    Format,
    Holdout,
    Images,
    Init,
    Names,
    OnNan,
    Out,
    Plain,
    Preset,
    Preview,
    Quiet,
    Rate,
    Recompute,
    Resume,
    Schedule,
    Seed,
    Settings,
    Size,
    Strict,
    TensorBoard,
    TrainingDevice,
    ValData,
    ValInterval,
    ValNames,
    Warmup,
    Workers,
)


def train(
    context: typer.Context,
    data: Data = None,
    format_: Format = None,
    images: Images = None,
    names: Names = None,
    val_data: ValData = None,
    val_names: ValNames = None,
    holdout: Holdout = None,
    strict: Strict = None,
    cache: Cache = None,
    workers: Workers = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="A network: v1-original, v1, v2, v2-ca. [v1]")
    ] = None,
    init: Init = None,
    init_backbone: Annotated[
        Path | None, typer.Option(help="File to take the backbone from, such as the ImageNet one.")
    ] = None,
    preset: Preset = None,
    config: ConfigFile = None,
    setting: Settings = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    size: Size = None,
    rate: Rate = None,
    schedule: Schedule = None,
    warmup: Warmup = None,
    ema: Ema = None,
    accumulate: Accumulate = None,
    amp: Amp = None,
    recompute: Recompute = None,
    compile_: Compile = None,
    val_interval: ValInterval = None,
    early_stop_metric: EarlyStopMetric = None,
    on_nan: OnNan = None,
    seed: Seed = None,
    out: Out = None,
    resume: Resume = None,
    device: TrainingDevice = "auto",
    threads: Threads = None,
    dry_run: DryRun = False,
    check: CheckData = False,
    preview: Preview = None,
    tensorboard: TensorBoard = True,
    plain: Plain = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Train a network on labelled faces.

    The first Ctrl-C saves and stops, and --resume goes on as if nothing had happened. Start it with
    torchrun to use several GPUs or machines.

    Example: featherface train --data faces --model v2 --epochs 2 --size 320 --batch-size 4
    """
    from ffcli.requirements import require

    require("torch", "train")
    from ffcli.training.command import run_command
    from ffcli.training.kinds import TRAIN

    run_command(
        TRAIN,
        context,
        config=config,
        setting=setting,
        preset=preset,
        out=out,
        resume=resume,
        device=device,
        threads=threads,
        dry_run=dry_run,
        check=check,
        preview=preview,
        tensorboard=tensorboard,
        plain=plain,
        quiet=quiet,
        as_json=as_json,
    )
