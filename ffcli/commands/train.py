"""``featherface train``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ffcli.options import AsJson, Threads


def train(
    data: Annotated[
        Path | None, typer.Option("--data", "-d", help="Folder with labels and photos, or the labels' file.")
    ] = None,
    format_: Annotated[
        str | None,
        typer.Option("--format", help="retinaface, widerface, coco, yolo; recognised if left out."),
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of the photos, if it is elsewhere.")] = None,
    names: Annotated[Path | None, typer.Option(help="File that lists the photos to use, one a line.")] = None,
    val_data: Annotated[Path | None, typer.Option(help="Labels to validate with.")] = None,
    val_names: Annotated[
        Path | None, typer.Option(help="File that lists the photos to validate with; they are held back.")
    ] = None,
    holdout: Annotated[
        float | None, typer.Option(help="Else, share of the photos to hold back; 0 for none. [0.05]")
    ] = None,
    strict: Annotated[bool | None, typer.Option("--strict", help="Defects of the data are an error.")] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Folder for decoded photos, which later epochs read faster.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that prepare batches; 0 for none.")] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="A network: v1-original, v1, v2, v2-ca. [v1]")
    ] = None,
    init: Annotated[Path | None, typer.Option(help="Weights of the same network to begin with.")] = None,
    init_backbone: Annotated[
        Path | None, typer.Option(help="File to take the backbone from, such as the ImageNet one.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="Documented settings: v1, v2, v2-ca, none. Default: the model's.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file with settings; flags win over it.")] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any setting, as section.field=value; wins over all. Repeat it."),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Times that every photo is seen.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Photos of a batch, on each process.")] = None,
    size: Annotated[
        str | None, typer.Option(help="Side of the square input: 640, or several: 320,480,640.")
    ] = None,
    rate: Annotated[float | None, typer.Option(help="Highest learning rate.")] = None,
    schedule: Annotated[
        str | None, typer.Option(help="How the rate goes: onecycle, cosine, multistep, trapezoid.")
    ] = None,
    warmup: Annotated[int | None, typer.Option(help="Epochs until the highest rate.")] = None,
    ema: Annotated[float | None, typer.Option(help="Decay of a moving average of the weights.")] = None,
    accumulate: Annotated[int | None, typer.Option(help="Batches to one step of the optimizer.")] = None,
    amp: Annotated[bool | None, typer.Option("--amp/--no-amp", help="Mixed precision, bfloat16.")] = None,
    recompute: Annotated[
        bool | None,
        typer.Option("--recompute/--no-recompute", help="Gradient checkpointing: less memory, slower."),
    ] = None,
    compile_: Annotated[
        bool | None, typer.Option("--compile/--no-compile", help="torch.compile the network first.")
    ] = None,
    val_interval: Annotated[int | None, typer.Option(help="Epochs between validations.")] = None,
    early_stop_metric: Annotated[
        str | None, typer.Option(help="What best weights and early stopping go by: loss, ap.")
    ] = None,
    on_nan: Annotated[
        str | None, typer.Option(help="A loss that is no number: stop, or rollback to a good state.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of weights, order and augmentation.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of the run. Default: runs/<model>-<number>.")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Folder of a run to go on with, under the settings it has.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, or one GPU such as cuda:1.")] = "auto",
    threads: Threads = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print all settings and where each comes from, and stop.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Read labels and every photo, report defects, and stop.")
    ] = False,
    preview: Annotated[
        Path | None, typer.Option(help="Draw a batch as the network sees it into this folder, and stop.")
    ] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard/--no-tensorboard", help="Write events for TensorBoard.")
    ] = True,
    plain: Annotated[bool, typer.Option("--plain", help="Plain lines, on a terminal too.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only the result.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train a network on labelled faces.

    The first Ctrl-C saves and stops, and --resume goes on as if nothing had happened. Start it with
    torchrun to use several GPUs or machines.

    Example: featherface train --data faces --model v2 --epochs 2 --size 320 --batch-size 4
    """
    from ffcli.requirements import require

    require("torch", "train")
    from ffcli.run_settings import parse_sizes, resolve_resumed, resolve_typed, typed_layers
    from ffcli.training_report import data_document, print_data, print_settings, settings_document
    from ffcli.training_session import draw_preview, read_all, run_training, silent_unless
    from ffcore.distributed import processes
    from ffcore.errors import ConfigError

    flags = {
        "--data": data,
        "--format": format_,
        "--images": images,
        "--names": names,
        "--val-data": val_data,
        "--val-names": val_names,
        "--holdout": holdout,
        "--strict": strict,
        "--cache": cache,
        "--workers": workers,
        "--batch-size": batch_size,
        "--model": model,
        "--init": init,
        "--init-backbone": init_backbone,
        "--size": None if size is None else parse_sizes(size),
        "--epochs": epochs,
        "--rate": rate,
        "--schedule": schedule,
        "--warmup": warmup,
        "--ema": ema,
        "--accumulate": accumulate,
        "--amp": amp,
        "--recompute": recompute,
        "--compile": compile_,
        "--val-interval": val_interval,
        "--early-stop-metric": early_stop_metric,
        "--on-nan": on_nan,
        "--seed": seed,
    }
    with processes() as group:
        with silent_unless(group.first):
            typed = typed_layers(flags, setting or [], config=config)
            if resume is None:
                resolved = resolve_typed(typed, preset_name=preset)
            elif out is not None or preset is not None:
                raise ConfigError("--resume goes on in its own folder; leave out --out and --preset")
            else:
                resolved = resolve_resumed(resume, typed)
        settings = resolved.config
        if dry_run or check or preview is not None:
            if not group.first:
                return
            if dry_run:
                if as_json:
                    typer.echo(json.dumps(settings_document(resolved), indent=1))
                else:
                    print_settings(resolved)
                return
            found = read_all(settings, pixels=check)
            if check:
                if as_json:
                    typer.echo(json.dumps(data_document(found), indent=1))
                else:
                    print_data(found)
                if settings.data.strict:
                    found.report.check()
            if preview is not None:
                draw_preview(found, settings, preview)
            return
        run_training(
            settings,
            folder=resume or out,
            resume=resume is not None,
            device=device,
            threads=threads,
            processes=group,
            tensorboard=tensorboard,
            plain=plain,
            quiet=quiet,
            as_json=as_json,
        )
