"""From what was typed to the settings of a training run."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from ffcli.training.kinds import DISTILL, TRAIN, RunKind
from ffcore.config.layers import Layer, Resolved, flat, parse_setting, read_toml, resolve
from ffcore.config.settings import apply_settings
from ffcore.distillation.run_config import DistillationRunConfig
from ffcore.errors import ConfigError, InputError
from ffcore.models.variants import variant_config
from ffcore.training.run_config import PRESETS, RunConfig, preset
from ffcore.training.run_folder import CHECKPOINT, CONFIG, RunFolder

FLAGS: dict[str, str] = {
    "--data": "data.path",
    "--format": "data.format",
    "--images": "data.images",
    "--names": "data.names",
    "--val-data": "data.validation",
    "--val-names": "data.validation_names",
    "--holdout": "data.holdout",
    "--strict": "data.strict",
    "--cache": "data.cache",
    "--workers": "data.workers",
    "--batch-size": "data.batch_size",
    "--model": "model.name",
    "--init": "model.weights",
    "--init-backbone": "model.backbone",
    "--size": "augment.sizes",
    "--epochs": "train.epochs",
    "--rate": "train.rate",
    "--schedule": "train.schedule",
    "--warmup": "train.warmup",
    "--ema": "train.ema",
    "--accumulate": "train.accumulate",
    "--amp": "forward.amp",
    "--recompute": "forward.recompute",
    "--compile": "forward.compile",
    "--val-interval": "validation.interval",
    "--early-stop-metric": "stopping.metric",
    "--on-nan": "safety.on_nan",
    "--seed": "seed",
    "--student": "model.name",
    "--unlabelled": "data.unlabelled",
    "--teacher": "teacher.weights",
    "--teacher-runtime": "teacher.runtime",
    "--alpha-schedule": "distillation.alpha.kind",
    "--alpha-start": "distillation.alpha.start",
    "--alpha-end": "distillation.alpha.end",
    "--temperature": "distillation.temperature",
    "--kd-normalize": "distillation.normalize",
    "--feature-weight": "distillation.feature_weight",
    "--feature-norm": "distillation.feature_norm",
    "--teacher-ignore": "distillation.teacher_ignore",
    "--distill-from-epoch": "distillation.start_epoch",
}
"""The setting behind each flag of ``train`` and ``distill``; all others have ``--set`` and the file."""

RUNS = Path("runs")
"""Where runs go that nobody gave a folder."""


def typed_layers(
    context: typer.Context, settings: Sequence[str], *, config: Path | None = None
) -> list[Layer]:
    """What a user has chosen: a file, then flags, then ``--set``.

    Args:
        context: Of the command; those of its options that `FLAGS` names are taken.
        settings: As typed behind ``--set``.
        config: A TOML file.

    Raises:
        InputError: The file cannot be read.
        ConfigError: A setting has another form than ``section.field=value``, or a size is none.
    """
    layers = [] if config is None else [read_toml(config)]
    for option in context.command.params:
        flag, value = option.opts[0], context.params[str(option.name)]
        if flag in FLAGS and value not in (None, ()):
            layers.append(Layer(flag, {FLAGS[flag]: _plain(flag, value)}))
    return layers + [parse_setting(text) for text in settings]


def resolve_typed(kind: RunKind, typed: Sequence[Layer], *, preset_name: str | None = None) -> Resolved[Any]:
    """The settings of a new run.

    Args:
        kind: Of the run.
        typed: See `typed_layers`.
        preset_name: A preset, or "none"; None for that of the network, where it has one.

    Raises:
        ConfigError: A setting is unknown or impossible.
        UnknownModelError: No network has the name.
    """
    if preset_name is None:
        chosen = [layer.values["model.name"] for layer in typed if "model.name" in layer.values]
        name = chosen[-1] if chosen else kind.defaults.model.name
        preset_name = name if name in PRESETS else "none"
    base = [] if preset_name == "none" else [preset(preset_name)]
    resolved = kind.resolve([*base, *typed])
    model = resolved.config.model
    apply_settings(variant_config(model.name), model.settings)  # a wrong name is said before data is read
    if isinstance(resolved.config, DistillationRunConfig):
        _check_distillation(resolved.config, typed)
    return resolved


def check_named(kind: RunKind, config: RunConfig, *, data_only: bool) -> None:
    """Refuses to begin without data, or without a teacher where there must be one.

    Args:
        kind: Of the run.
        config: Of the run.
        data_only: Whether nothing is going to be trained.

    Raises:
        ConfigError: Saying what to type.
    """
    if not config.data.path:
        raise ConfigError(
            "no data is named: type the same with --data DIR behind it, a folder with label.txt and images; "
            f"to see first what is in it: featherface {kind.command} --data DIR --check"
        )
    if isinstance(config, DistillationRunConfig) and not config.teacher.weights and not data_only:
        raise ConfigError(
            "no teacher is named: type the same with --teacher FILE behind it, the weights of a trained "
            "network such as v1.pth"
        )


def resolve_resumed(kind: RunKind, folder: Path, typed: Sequence[Layer]) -> Resolved[Any]:
    """The settings of a run that goes on; they are those it began with.

    Args:
        kind: Of the run.
        folder: Of the run.
        typed: What was typed beside ``--resume``; to repeat what the run has is allowed.

    Raises:
        ConfigError: Something else was typed, or the run is of another kind.
        InputError: There is no such run.
    """
    begun = _kind_of(folder)
    if begun is not None and begun is not kind:
        raise ConfigError(
            f"{folder}: was begun by {begun.command}; go on with: {resume_command(begun, folder)}"
        )
    _, before = RunFolder.open(folder, kind.defaults)
    given = resolve(before, typed)
    had, wanted = flat(before), flat(given.config)
    changed = [name for name in had if had[name] != wanted[name]]
    if changed:
        named = ", ".join(
            f"{given.origins[name].removesuffix(f' {name}')} ({name} is {had[name]})" for name in changed
        )
        raise ConfigError(f"{folder}: goes on with the settings it began with; leave out {named}")
    return Resolved(before, dict.fromkeys(given.origins, str(folder)))


def parse_sizes(text: str) -> list[int]:
    """Sides of the input from ``640`` or ``320,480,640``.

    Raises:
        ConfigError: The text is neither.
    """
    if not re.fullmatch(r"\d{1,5}(\s*,\s*\d{1,5})*", text.strip()):
        raise ConfigError(f"--size {text}: write one side such as 640, or several such as 320,480,640")
    return [int(side) for side in text.split(",")]


@contextmanager
def new_folder(model: str) -> Iterator[Path]:
    """A folder ``runs/<model>-<n>`` that nobody else has; it goes away again when nothing was put into it.

    Raises:
        InputError: None can be made here.
    """
    for number in range(1, 100_000):
        folder = RUNS / f"{model}-{number}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise InputError(f"{folder}: cannot be made: {error.strerror}; name another by --out") from None
        try:
            yield folder
        finally:
            with contextlib.suppress(OSError):  # it is not empty: the run has begun
                folder.rmdir()
        return
    raise InputError(f"{RUNS}: is full of runs; name a folder by --out")


def resume_command(kind: RunKind, folder: Path, *, processes: int = 1) -> str:
    """What to type for a run to go on."""
    program = "featherface" if processes == 1 else f"torchrun --nproc-per-node {processes} -m ffcli"
    return f"{program} {kind.command} --resume {folder}"


def can_resume(folder: Path) -> bool:
    """Whether there is a state to go on from."""
    return (folder / CHECKPOINT).exists()


def _plain(flag: str, value: Any) -> Any:
    """The value of a flag as a file of settings would have it."""
    if flag == "--size":
        return parse_sizes(value)
    if isinstance(value, list | tuple):
        return [str(each) for each in value]
    return str(value) if isinstance(value, Path) else value


def _kind_of(folder: Path) -> RunKind | None:
    """The kind of run in a folder, by the settings that it has; None where there is none."""
    if not (folder / CONFIG).is_file():
        return None
    return DISTILL if FLAGS["--teacher"] in read_toml(folder / CONFIG).values else TRAIN


def _check_distillation(config: DistillationRunConfig, typed: Sequence[Layer]) -> None:
    """Refuses flags that would do nothing, or that exclude each other."""
    idle = [layer.origin for layer in typed if layer.origin in ("--alpha-start", "--alpha-end")]
    if idle and config.distillation.alpha.kind == "constant":
        raise ConfigError(
            f"{idle[0]}: a constant alpha neither starts nor ends; say --set distillation.alpha.constant=0.7"
        )
    if config.teacher.runtime == "onnxruntime" and config.distillation.feature_weight > 0:
        raise ConfigError(
            "--teacher-runtime onnxruntime: gives no features to match; say --feature-weight 0 as well, or "
            "--teacher-runtime torch"
        )
