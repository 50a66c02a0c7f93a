"""Options of ``train`` and ``distill``, so that both read the same; None where nothing was typed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

# data
Data = Annotated[
    Path | None, typer.Option("--data", "-d", help="Folder with labels and photos, or the labels' file.")
]
Format = Annotated[
    str | None, typer.Option("--format", help="retinaface, widerface, coco, yolo; recognised if left out.")
]
Images = Annotated[Path | None, typer.Option("--images", help="Folder of the photos, if it is elsewhere.")]
Names = Annotated[Path | None, typer.Option("--names", help="File that lists the photos to use, one a line.")]
ValData = Annotated[Path | None, typer.Option("--val-data", help="Labels to validate with.")]
ValNames = Annotated[
    Path | None,
    typer.Option("--val-names", help="File that lists the photos to validate with; they are held back."),
]
Holdout = Annotated[
    float | None, typer.Option("--holdout", help="Else, share of the photos to hold back; 0 for none. [0.05]")
]
Strict = Annotated[bool | None, typer.Option("--strict", help="Defects of the data are an error.")]
Cache = Annotated[
    Path | None, typer.Option("--cache", help="Folder for decoded photos, which later epochs read faster.")
]
Workers = Annotated[int | None, typer.Option("--workers", help="Processes that prepare batches; 0 for none.")]

# network and settings
Init = Annotated[Path | None, typer.Option("--init", help="Weights of the same network to begin with.")]
Preset = Annotated[
    str | None,
    typer.Option("--preset", help="Documented settings: v1, v2, v2-ca, none. Default: the network's."),
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="TOML file with settings; flags win over it.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="Any setting, as section.field=value; wins over all. Repeat it."),
]
Epochs = Annotated[int | None, typer.Option("--epochs", help="Times that every photo is seen.")]
BatchSize = Annotated[int | None, typer.Option("--batch-size", help="Photos of a batch, on each process.")]
Size = Annotated[
    str | None,
    typer.Option("--size", help="Side of the square input: 640, or several: 320,480,640."),
]
Rate = Annotated[float | None, typer.Option("--rate", help="Highest learning rate.")]
Schedule = Annotated[
    str | None,
    typer.Option("--schedule", help="How the rate goes: onecycle, cosine, multistep, trapezoid."),
]
Warmup = Annotated[int | None, typer.Option("--warmup", help="Epochs until the highest rate.")]
Ema = Annotated[float | None, typer.Option("--ema", help="Decay of a moving average of the weights.")]
Accumulate = Annotated[int | None, typer.Option("--accumulate", help="Batches to one step of the optimizer.")]
Amp = Annotated[bool | None, typer.Option("--amp/--no-amp", help="Mixed precision, bfloat16.")]
Recompute = Annotated[
    bool | None,
    typer.Option("--recompute/--no-recompute", help="Gradient checkpointing: less memory, slower."),
]
Compile = Annotated[
    bool | None, typer.Option("--compile/--no-compile", help="torch.compile the network first.")
]
ValInterval = Annotated[int | None, typer.Option("--val-interval", help="Epochs between validations.")]
EarlyStopMetric = Annotated[
    str | None,
    typer.Option("--early-stop-metric", help="What best weights and early stopping go by: loss, ap."),
]
OnNan = Annotated[
    str | None,
    typer.Option("--on-nan", help="A loss that is no number: stop, or rollback to a good state."),
]
Seed = Annotated[int | None, typer.Option("--seed", help="Of weights, order and augmentation.")]

# the run
Out = Annotated[
    Path | None, typer.Option("--out", "-o", help="Folder of the run. Default: runs/<network>-<number>.")
]
Resume = Annotated[
    Path | None,
    typer.Option("--resume", help="Folder of a run to go on with, under the settings it has."),
]
TrainingDevice = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, or one GPU such as cuda:1.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print all settings and where each comes from, and stop.")
]
CheckData = Annotated[
    bool, typer.Option("--check", help="Read labels and every photo, report defects, and stop.")
]
Preview = Annotated[
    Path | None,
    typer.Option("--preview", help="Draw a batch as the network sees it into this folder, and stop."),
]
TensorBoard = Annotated[
    bool, typer.Option("--tensorboard/--no-tensorboard", help="Write events for TensorBoard.")
]
Plain = Annotated[bool, typer.Option("--plain", help="Plain lines, on a terminal too.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only the result.")]
