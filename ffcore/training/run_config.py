"""Everything that decides a training run, in sections that a TOML file and flags can change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, get_args

from ffcore.config.layers import Layer, Resolved, resolve
from ffcore.config.settings import check_choices
from ffcore.data.augment import AugmentConfig
from ffcore.data.mixing import MixConfig
from ffcore.data.reading import Format
from ffcore.errors import ConfigError, did_you_mean
from ffcore.losses.multibox import MultiBoxConfig
from ffcore.training.config import TrainConfig
from ffcore.training.early_stopping import EarlyStoppingConfig
from ffcore.training.objective import ForwardConfig

OnNan = Literal["stop", "rollback"]


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Which network is trained and where its first weights come from."""

    name: str = "v1"
    """One of `VARIANTS`."""
    settings: tuple[str, ...] = ()
    """Fields of its `NetworkConfig` that differ, as ``field=value``."""
    weights: str | None = None
    """File of weights of the same network to start from; random ones when None."""
    backbone: str | None = None
    """File to take the backbone alone from: any published checkpoint, or the ImageNet file."""


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which photos are learnt from and which are held back to validate with."""

    path: str = ""
    """Folder with labels, or their file; see `read_annotations`, likewise the next three."""
    format: Format | None = None
    images: str | None = None
    names: str | None = None
    validation: str | None = None
    """Labels to validate with. When None, and no names are given, a share of the photos is held back."""
    validation_images: str | None = None
    validation_names: str | None = None
    """File that lists the photos to validate with; without `validation`, among those of `path`."""
    holdout: float = 0.05
    """Share of the photos that is held back when nothing else is said; 0 for no validation at all."""
    unlabelled: tuple[str, ...] = ()
    """Folders of photos without labels; only a teacher can make something of them."""
    batch_size: int = 32
    """Samples of a batch on each process, 1 or more."""
    workers: int = 2
    """Processes that prepare samples; 0 prepares them between the steps."""
    cache: str | None = None
    """Folder for decoded photos, which later epochs and runs read faster; about 2 MB a photo."""
    evenness: float = 0.0
    """0: every photo once an epoch; 1: every event as often as any other."""
    strict: bool = False
    """Whether defects of the labels are an error."""

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.workers < 0:
            raise ConfigError(
                f"batch_size = {self.batch_size}, workers = {self.workers}: at least 1 and 0 are needed"
            )
        if not 0 <= self.holdout < 1:
            raise ConfigError(f"holdout = {self.holdout}: a share from 0 to less than 1 is needed")


@dataclass(frozen=True, kw_only=True)
class ValidationConfig:
    """How often the network is looked at, and how."""

    interval: int = 1
    """Epochs between validations, 1 or more."""
    ap: bool = True
    """Whether faces are detected in the photos held back and scored, besides the loss."""
    size: int = 640
    """Side of the square in which the loss is computed."""

    def __post_init__(self) -> None:
        if self.interval < 1 or self.size < 32:
            raise ConfigError(f"interval = {self.interval}, size = {self.size}: 1 and 32 are the least")


@dataclass(frozen=True, kw_only=True)
class SafetyConfig:
    """What happens when a training goes wrong, and how often its state is written down."""

    on_nan: OnNan = "stop"
    """A loss or a gradient that is no number ends the run, or sends it back to its last good state."""
    rollback_factor: float = 0.5
    """By which the rates are multiplied after going back, above 0 and below 1."""
    rollbacks: int = 5
    """How often in one run."""
    save_minutes: float = 5.0
    """Between two checkpoints in the middle of an epoch, above 0."""

    def __post_init__(self) -> None:
        check_choices(self, {"on_nan": get_args(OnNan)})
        if not 0 < self.rollback_factor < 1 or self.rollbacks < 0 or not self.save_minutes > 0:
            raise ConfigError(f"safety cannot work with {self}")


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One training run."""

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    mix: MixConfig = field(default_factory=MixConfig)
    loss: MultiBoxConfig = field(default_factory=MultiBoxConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    forward: ForwardConfig = field(default_factory=ForwardConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    stopping: EarlyStoppingConfig = field(default_factory=EarlyStoppingConfig)
    safety: SafetyConfig = field(default_factory=SafetyConfig)
    seed: int = 0
    """Of weights, order and augmentation; 0 or more."""

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ConfigError(f"seed = {self.seed}: 0 or more is needed")
        if self.stopping.metric == "ap" and not self.validation.ap:
            raise ConfigError("stopping.metric = 'ap' needs validation.ap = true")


PRESETS: dict[str, dict[str, Any]] = {
    "v1": {
        "model.name": "v1",
        "train.epochs": 350,
        "train.schedule": "onecycle",
        "train.rate": 1e-3,
        "data.batch_size": 32,
    },
    "v2": {
        "model.name": "v2",
        "train.epochs": 400,
        "train.schedule": "cosine",
        "train.warmup": 5,
        "train.rate": 1e-3,
        "data.batch_size": 32,
    },
    "v2-ca": {
        "model.name": "v2-ca",
        "train.epochs": 250,
        "train.schedule": "cosine",
        "train.warmup": 5,
        "train.rate": 1e-4,
        "train.weight_decay": 5e-4,
        "data.batch_size": 32,
    },
}
"""The documents' values, by the network that they belong to."""


def preset(name: str) -> Layer:
    """The values of a preset.

    Raises:
        ConfigError: No preset has this name; the message lists the near ones.
    """
    if name not in PRESETS:
        raise ConfigError(f"{name!r} is not a preset: {did_you_mean(name, PRESETS)}")
    return Layer(f"preset {name}", PRESETS[name])


Run = TypeVar("Run", bound=RunConfig)


def resolve_run(layers: Sequence[Layer]) -> Resolved[RunConfig]:
    """A run from layers; see `resolve` and `fitted`."""
    return resolve(RunConfig(), fitted(layers))


def fitted(layers: Sequence[Layer]) -> list[Layer]:
    """The layers, and one more where a preset's warm-up does not fit a training that is much shorter.

    Without it, ``--preset v2 --epochs 4`` would be an error: its warm-up alone has 5 epochs.
    """
    chosen = [layer for layer in layers if not layer.origin.startswith("preset ")]
    if not any("train.warmup" in layer.values for layer in chosen):
        epochs = next(
            (x.values["train.epochs"] for x in reversed(layers) if "train.epochs" in x.values), None
        )
        if isinstance(epochs, int) and 0 < epochs < 50:
            return [*layers, Layer("a tenth of the epochs", {"train.warmup": max(0, epochs // 10)})]
    return list(layers)
