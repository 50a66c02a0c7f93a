"""Options of ``detect`` for its ray engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Literal

import typer

from ffcore.errors import ConfigError

Engine = Annotated[
    Literal["process", "ray"],
    typer.Option(help="ray looks at photos on a cluster and writes a Parquet table to --out."),
]
Address = Annotated[
    str | None, typer.Option(help="With ray: the cluster, or auto. By default Ray is started here.")
]
Workers = Annotated[
    int | None, typer.Option(min=1, help="With ray: actors that detect. By default one a core.")
]
GpusPerActor = Annotated[
    float, typer.Option(min=0, help="With ray: part of a GPU for each actor, such as 0.25; 0 uses CPUs.")
]
MaxErrors = Annotated[
    int | None, typer.Option(min=0, help="With ray: more broken photos than this end the job.")
]
ShardSize = Annotated[
    int, typer.Option(min=1, help="With ray: photos in a file of the table; a tar file makes one of its own.")
]
ImageColumn = Annotated[
    str | None, typer.Option(help="With ray: column of encoded images in Parquet sources; found if left out.")
]


@dataclass(frozen=True, kw_only=True)
class RayOptions:
    """What the options of the ray engine say; see `ffcore.jobs.run.detect_on_cluster`."""

    address: str | None = None
    workers: int | None = None
    gpus_per_actor: float = 0.0
    max_errors: int | None = None
    shard_size: int = 1000
    image_column: str | None = None


def refuse(given: Mapping[str, object]) -> None:
    """Options that do not go together with the ray engine are an error.

    Args:
        given: Name of an option to its value; what is None or False was not typed.

    Raises:
        ConfigError: One of them was typed.
    """
    for name, value in given.items():
        if value not in (None, False):
            raise ConfigError(
                f"{name} does not go with --engine ray; leave it out, or make it from the table with convert"
            )


def refuse_without_ray(options: RayOptions) -> None:
    """Options of the ray engine that would have no effect here are an error.

    Args:
        options: As they were typed, or their defaults.

    Raises:
        ConfigError: One of them was typed.
    """
    for field in fields(options):
        if getattr(options, field.name) != field.default:
            raise ConfigError(f"--{field.name.replace('_', '-')} is for --engine ray")
