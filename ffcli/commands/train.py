"""``featherface train``."""

# the options that are settings of the run are read from the context, see `typed_layers`
# ruff: noqa: ARG001

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ffcli.options import AsJson, Threads
from ffcli.training import options


def train(
    context: typer.Context,
    data: options.Data = None,
    format_: options.Format = None,
    images: options.Images = None,
    names: options.Names = None,
    val_data: options.ValData = None,
    val_names: options.ValNames = None,
    holdout: options.Holdout = None,
    strict: options.Strict = None,
    cache: options.Cache = None,
    workers: options.Workers = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="A network: v1-original, v1, v2, v2-ca. [v1]")
    ] = None,
    init: options.Init = None,
    init_backbone: Annotated[
        Path | None, typer.Option(help="File to take the backbone from, such as the ImageNet one.")
    ] = None,
    preset: options.Preset = None,
    config: options.ConfigFile = None,
    setting: options.Settings = None,
    epochs: options.Epochs = None,
    batch_size: options.BatchSize = None,
    size: options.Size = None,
    rate: options.Rate = None,
    schedule: options.Schedule = None,
    warmup: options.Warmup = None,
    ema: options.Ema = None,
    accumulate: options.Accumulate = None,
    amp: options.Amp = None,
    recompute: options.Recompute = None,
    compile_: options.Compile = None,
    val_interval: options.ValInterval = None,
    early_stop_metric: options.EarlyStopMetric = None,
    on_nan: options.OnNan = None,
    seed: options.Seed = None,
    out: options.Out = None,
    resume: options.Resume = None,
    device: options.TrainingDevice = "auto",
    threads: Threads = None,
    dry_run: options.DryRun = False,
    check: options.CheckData = False,
    preview: options.Preview = None,
    tensorboard: options.TensorBoard = True,
    plain: options.Plain = False,
    quiet: options.Quiet = False,
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
