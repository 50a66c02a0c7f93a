"""``featherface distill``."""

# the options that are settings of the run are read from the context, see `typed_layers`
# ruff: noqa: ARG001

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ffcli.options import AsJson, Threads
from ffcli.training import options


def distill(
    context: typer.Context,
    teacher: Annotated[
        list[Path] | None,
        typer.Option(
            "--teacher",
            "-t",
            help="Weights of a trained network, in any published layout, to learn from. Repeat it, and the "
            "mean of all teaches.",
        ),
    ] = None,
    student: Annotated[
        str | None,
        typer.Option("--student", "-s", help="The network that learns: v1-original, v1, v2, v2-ca. [v2]"),
    ] = None,
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
    unlabelled: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of photos without labels; the teacher alone speaks of them. Repeat it."),
    ] = None,
    init: options.Init = None,
    init_backbone: Annotated[
        str | None,
        typer.Option(help="The student's first backbone: teacher, none, or a file. [teacher]"),
    ] = None,
    teacher_runtime: Annotated[
        str | None, typer.Option(help="What runs the teacher: auto, torch, onnxruntime. [auto]")
    ] = None,
    alpha_schedule: Annotated[
        str | None,
        typer.Option(
            help="How the teacher's share goes: constant, linear, cosine, exponential, dynamic. [dynamic]"
        ),
    ] = None,
    alpha_start: Annotated[
        float | None, typer.Option(help="The teacher's share in the first epoch. [0.8]")
    ] = None,
    alpha_end: Annotated[
        float | None, typer.Option(help="The share that the schedule ends at. [0.5]")
    ] = None,
    distill_from_epoch: Annotated[
        int | None, typer.Option(help="Epochs that belong to the labels alone, at first. [0]")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(help="By which logits are divided before they are compared. [4]")
    ] = None,
    kd_normalize: Annotated[
        str | None, typer.Option(help="Over which anchors terms are averaged: all, foreground, focal. [all]")
    ] = None,
    feature_weight: Annotated[
        float | None, typer.Option(help="Weight of feature matching; 0 leaves it out. [0.1]")
    ] = None,
    feature_norm: Annotated[
        str | None, typer.Option(help="Feature errors as they are, or relative: plain, normalized. [plain]")
    ] = None,
    teacher_ignore: Annotated[
        float | None,
        typer.Option(help="Where the teacher is so sure of a face there is no background; 0: off. [0.6]"),
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
    """Train a small network under a trained one.

    The loss is (1 - alpha) * task + alpha * distill + weight * feature; both networks see the same
    batches. All else is as in train: Ctrl-C saves, --resume goes on, torchrun uses several GPUs.

    Example: featherface distill --teacher v1.safetensors --data faces --epochs 2 --size 320 --batch-size 4
    """
    from ffcli.requirements import require

    require("torch", "distill")
    from ffcli.training.command import run_command
    from ffcli.training.kinds import DISTILL

    run_command(
        DISTILL,
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
