"""From what was typed to the settings of a training run."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ffcore.config.layers import Layer, Resolved, flat, parse_setting, read_toml, resolve
from ffcore.config.settings import apply_settings
from ffcore.errors import ConfigError, InputError
from ffcore.models.variants import variant_config
from ffcore.training.run_config import PRESETS, RunConfig, preset, resolve_run
from ffcore.training.run_folder import CHECKPOINT, RunFolder

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
}
"""The setting behind each flag; all others have ``--set`` and the file."""

RUNS = Path("runs")
"""Where runs go that nobody gave a folder."""


def typed_layers(
    flags: Mapping[str, Any], settings: Sequence[str], *, config: Path | None = None
) -> list[Layer]:
    """What a user has chosen: a file, then flags, then ``--set``.

    Args:
        flags: Values by flag, None for those that were not given.
        settings: As typed behind ``--set``.
        config: A TOML file.

    Raises:
        InputError: The file cannot be read.
        ConfigError: A setting has another form than ``section.field=value``.
    """
    layers = [] if config is None else [read_toml(config)]
    for flag, value in flags.items():
        if value is not None:
            plain = str(value) if isinstance(value, Path) else value
            layers.append(Layer(flag, {FLAGS[flag]: plain}))
    return layers + [parse_setting(text) for text in settings]


def resolve_typed(typed: Sequence[Layer], *, preset_name: str | None = None) -> Resolved[RunConfig]:
    """The settings of a new run.

    Args:
        typed: See `typed_layers`.
        preset_name: A preset, or "none"; None for that of the network, where it has one.

    Raises:
        ConfigError: A setting is unknown or impossible.
        UnknownModelError: No network has the name.
    """
    if preset_name is None:
        chosen = [layer.values["model.name"] for layer in typed if "model.name" in layer.values]
        name = chosen[-1] if chosen else RunConfig().model.name
        preset_name = name if name in PRESETS else "none"
    base = [] if preset_name == "none" else [preset(preset_name)]
    resolved = resolve_run([*base, *typed])
    model = resolved.config.model
    apply_settings(variant_config(model.name), model.settings)  # a wrong name is said before data is read
    return resolved


def resolve_resumed(folder: Path, typed: Sequence[Layer]) -> Resolved[RunConfig]:
    """The settings of a run that goes on; they are those it began with.

    Args:
        folder: Of the run.
        typed: What was typed beside ``--resume``; to repeat what the run has is allowed.

    Raises:
        ConfigError: Something else was typed.
        InputError: There is no such run.
    """
    _, before = RunFolder.open(folder, RunConfig())
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


def resume_command(folder: Path, *, processes: int = 1) -> str:
    """What to type for a run to go on."""
    program = "featherface" if processes == 1 else f"torchrun --nproc-per-node {processes} -m ffcli"
    return f"{program} train --resume {folder}"


def can_resume(folder: Path) -> bool:
    """Whether there is a state to go on from."""
    return (folder / CHECKPOINT).exists()
