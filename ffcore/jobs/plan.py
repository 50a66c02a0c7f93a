"""What a job is: its shards, its weights, its options. The same plan gives the same results.

The plan is written beside the results when a job starts. A later run with the same plan goes on; one with
another plan is refused, so that no folder ever holds the results of two jobs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ffcore._version import __version__
from ffcore.detection import DetectorOptions
from ffcore.detection.detector import DetectorSettings
from ffcore.errors import InputError
from ffcore.images.anonymize import Method
from ffcore.jobs.model_file import ModelFile
from ffcore.jobs.shards import Shard
from ffcore.jobs.storage import Folder
from ffcore.jobs.table import SCHEMA_VERSION

PLAN_NAME = "_plan.json"
SUCCESS_NAME = "_SUCCESS"
SUMMARY_NAME = "_summary.json"
PHOTOS_FOLDER = "_photos"
"""Changed photos; what begins with ``_`` is passed over by whatever reads the folder as a table."""


@dataclass(frozen=True)
class Plan:
    """A job.

    Args:
        shards: In the order of their numbers.
        model: The weights.
        model_name: Of the network, for the table.
        options: How photos are looked at.
        anonymize: How faces are hidden in copies of the photos, or None for no copies.
        sources: What the shards were found in, and with which size and image column: the arguments of
            `find_shards`, for whoever needs the photos again.
    """

    shards: Sequence[Shard]
    model: ModelFile
    model_name: str
    options: DetectorOptions
    anonymize: Method | None = None
    sources: Mapping[str, Any] = field(default_factory=dict)

    @property
    def photos(self) -> int | None:
        """How many photos there are, or None when only reading them will tell."""
        counts = [shard.photos for shard in self.shards]
        return None if None in counts else sum(count for count in counts if count is not None)

    @property
    def model_version(self) -> str:
        """Of the weights, for the table."""
        return f"sha256:{self.model.sha256}"

    def settings(self) -> DetectorSettings:
        """How photos are looked at, as keyword arguments."""
        values: Any = {each.name: getattr(self.options, each.name) for each in fields(self.options)}
        settings: DetectorSettings = values  # they have the same fields
        return settings

    def options_record(self) -> dict[str, Any]:
        """How photos are looked at, as values that JSON has."""
        size = self.options.input_size  # a side or a pair mean the same
        return {**asdict(self.options), "size": size, "anonymize": self.anonymize}

    def record(self) -> dict[str, Any]:
        """Everything that results depend on, as values that JSON has; of single photos the addresses."""
        values = {
            "schema": SCHEMA_VERSION,
            "featherface": __version__,
            "model": self.model_version,
            "options": self.options_record(),
            "sources": dict(self.sources),
            "shards": [{"kind": shard.kind, "identity": shard.identity} for shard in self.shards],
        }
        text = json.dumps(values).encode("utf-8", "backslashreplace").decode()
        plain: dict[str, Any] = json.loads(text)
        return plain


def part_name(shard: int) -> str:
    """The file of a shard's results; it is there when the shard is complete."""
    return f"part-{shard:06d}.parquet"


def photos_name(shard: int) -> str:
    """The file of a shard's changed photos; it is there before that of the results."""
    return f"{PHOTOS_FOLDER}/part-{shard:06d}.tar"


def start_or_go_on(plan: Plan, folder: Folder) -> list[int]:
    """Write the plan into the folder of results, or compare it with the one that is there.

    Args:
        plan: What is wanted.
        folder: Where to.

    Returns:
        Numbers of the shards that are complete already.

    Raises:
        InputError: The folder holds the results of another job, or something else.
    """
    names = folder.names()
    wanted = plan.record()
    if PLAN_NAME not in names:
        if names:
            raise InputError(
                f"{folder.address}: holds files but no {PLAN_NAME}: it is no folder of results; give another"
            )
        folder.write(PLAN_NAME, (json.dumps(wanted, indent=1) + "\n").encode())
        return []
    try:
        there = json.loads(folder.read(PLAN_NAME))
    except ValueError:
        there = None
    if not isinstance(there, dict):
        raise InputError(f"{folder.address}/{PLAN_NAME}: is damaged; give another folder for the results")
    if difference := _difference(there, wanted):
        raise InputError(
            f"{folder.address}: holds the results of another job ({difference}); give another folder"
        )
    return [number for number in range(len(plan.shards)) if part_name(number) in names]


def _difference(there: dict[str, Any], wanted: dict[str, Any]) -> str:
    """The first thing in which two plans differ, in a few words; empty when they are equal."""
    for key in ("schema", "featherface", "model"):
        if there.get(key) != wanted[key]:
            return f"{key} {str(there.get(key))[:23]} there, {str(wanted[key])[:23]} here"
    before = there.get("options") or {}
    for key, value in wanted["options"].items():
        if before.get(key) != value:
            return f"{key} = {before.get(key)} there, {value} here"
    shards, now = there.get("shards") or [], wanted["shards"]
    if shards == now:
        return ""
    if len(shards) != len(now):
        return f"{len(shards)} shards there, {len(now)} here"
    number = next(i for i, (a, b) in enumerate(zip(shards, now, strict=True)) if a != b)
    what, other = (each.get("identity", "?")[:60] for each in (shards[number], now[number]))
    return f"shard {number} was {what!r} there, is {other!r} here"
