"""A job in this very process: the same stages one after the other, without Ray."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ffcore.jobs.collect import Collector, commit
from ffcore.jobs.columns import Batch, column
from ffcore.jobs.model_file import ModelFile
from ffcore.jobs.plan import SUCCESS_NAME, Plan, start_or_go_on
from ffcore.jobs.shards import find_shards
from ffcore.jobs.stages import DetectFaces, HideFaces, decode_shards
from ffcore.jobs.storage import Folder, absolute


def plan_of(
    sources: Sequence[Path | str], *, size: int = 1000, anonymize: Any = None, **settings: Any
) -> Plan:
    """The plan that a job over these sources has."""
    weights = ModelFile.read("v2")
    detector = weights.detector(device="cpu", **settings)
    wanted: dict[str, Any] = {"names": [absolute(name) for name in sources], "size": size, "column": None}
    return Plan(find_shards(**wanted), weights, "v2", detector.options, anonymize, wanted)


def batches(plan: Plan, numbers: Sequence[int]) -> Iterator[Batch]:
    """What the last stage gives."""
    detect = DetectFaces(plan.model, keep_image=plan.anonymize is not None, device="cpu", **plan.settings())
    shards = {
        "shard": np.array(numbers, np.int64),
        "spec": column(plan.shards[number].to_json() for number in numbers),
    }
    for batch in decode_shards(shards):
        found = detect(batch)
        yield found if plan.anonymize is None else HideFaces(plan.anonymize)(found)


def run_here(plan: Plan, out: Path | str) -> None:
    """Runs the whole job."""
    folder = Folder(out)
    done = start_or_go_on(plan, folder)
    collector = Collector()
    for batch in batches(plan, [number for number in range(len(plan.shards)) if number not in done]):
        for shard in collector.add(batch)[1]:
            commit(shard, plan, folder)
    folder.write(SUCCESS_NAME, b"")


def results(folder: Path) -> dict[str, bytes]:
    """Every file of results by its name; what a run writes about itself is left out."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("part-*"))
        if path.is_file()
    }
