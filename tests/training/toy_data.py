"""Short trainings on the small drawn photos of the examples."""

from __future__ import annotations

from pathlib import Path

from examples.toy_faces import SIDE, write_photos
from ffcore.config.layers import Layer
from ffcore.training.run_config import RunConfig, preset, resolve_run

__all__ = ["SIDE", "toy_config", "toy_settings", "write_photos"]


def toy_config(folder: Path, **values: object) -> RunConfig:
    """A short run of v2 on such photos; ``section__field=value`` changes it."""
    return resolve_run([preset("v2"), toy_settings(folder, **values)]).config


def toy_settings(folder: Path, **values: object) -> Layer:
    """What such a run changes of the preset."""
    chosen: dict[str, object] = {
        "data.path": str(folder),
        "data.batch_size": 2,
        "data.workers": 0,
        "data.holdout": 0.25,
        "augment.sizes": [SIDE],
        "validation.size": SIDE,
        "train.epochs": 3,
    }
    return Layer("test", chosen | {name.replace("__", "."): value for name, value in values.items()})
