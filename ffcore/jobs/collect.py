"""From rows that come in any order to shards that are written whole or not at all."""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import IO, Any

from ffcore.jobs.plan import Plan, part_name, photos_name
from ffcore.jobs.storage import Folder
from ffcore.jobs.table import Row, Totals, faces_table, parquet_bytes, rows_of, totals_of


@dataclass
class FinishedShard:
    """A shard of which every row is there.

    Args:
        number: Of the shard.
        rows: In their order.
        photos: Where each changed photo lies in `spool`: index, name, offset, length.
        spool: The changed photos as they came, or None.
    """

    number: int
    rows: list[Row]
    photos: list[tuple[int, str, int, int]]
    spool: IO[bytes] | None


@dataclass
class _OpenShard:
    """A shard of which rows are missing."""

    rows: dict[int, Row] = field(default_factory=dict)
    photos: dict[int, tuple[int, str, int, int]] = field(default_factory=dict)
    count: int | None = None
    spool: IO[bytes] | None = None


class Collector:
    """Takes rows and says which shards are complete.

    Rows are small and wait in memory, changed photos in a nameless file on this machine's disk. A row that
    comes twice, because a machine was lost after it had sent it, counts once.
    """

    def __init__(self) -> None:
        self._open: dict[int, _OpenShard] = {}
        self._finished: set[int] = set()

    def add(self, batch: Mapping[str, Any]) -> tuple[list[Row], list[FinishedShard]]:
        """Take a batch.

        Args:
            batch: What the last stage gives.

        Returns:
            The rows that are new, and the shards that are complete with them.
        """
        new: list[Row] = []
        touched: dict[int, None] = {}
        for i, row in enumerate(rows_of(batch)):
            number = int(batch["shard"][i])
            if number in self._finished:
                continue
            touched[number] = None
            shard = self._open.setdefault(number, _OpenShard())
            if batch["end"][i]:
                shard.count = row.index
            elif row.index not in shard.rows:
                shard.rows[row.index] = row
                new.append(row)
                if "photo" in batch and len(batch["photo"][i]):
                    _keep(shard, row.index, str(batch["name"][i]), batch["photo"][i])
        finished = [number for number in touched if len(self._open[number].rows) == self._open[number].count]
        return new, [self._close(number) for number in finished]

    def _close(self, number: int) -> FinishedShard:
        shard = self._open.pop(number)
        self._finished.add(number)
        return FinishedShard(
            number,
            [shard.rows[index] for index in sorted(shard.rows)],
            [shard.photos[index] for index in sorted(shard.photos)],
            shard.spool,
        )

    def close(self) -> Totals:
        """Forget the shards that are not complete.

        Returns:
            Sums over their rows.
        """
        lost = totals_of(row for shard in self._open.values() for row in shard.rows.values())
        for shard in self._open.values():
            if shard.spool is not None:
                shard.spool.close()
        self._open.clear()
        return lost


def _keep(shard: _OpenShard, index: int, name: str, photo: bytes) -> None:
    if shard.spool is None:
        shard.spool = tempfile.TemporaryFile(prefix="featherface-")  # noqa: SIM115  # open as long as the shard
    shard.photos[index] = (index, name, shard.spool.tell(), len(photo))
    shard.spool.write(photo)


def commit(shard: FinishedShard, plan: Plan, folder: Folder) -> Totals:
    """Write what a shard gave: its changed photos first, then the table that says it is complete.

    Args:
        shard: Its rows and photos; the spool is closed.
        plan: The job.
        folder: Where to.

    Returns:
        Sums over its rows.

    Raises:
        InputError: The folder cannot be written to.
    """
    if plan.anonymize is not None:
        with tempfile.TemporaryDirectory(prefix="featherface-") as temporary:
            path = Path(temporary, "photos.tar")
            _write_tar(path, shard)
            folder.upload(photos_name(shard.number), path)
    table = faces_table(
        shard.rows,
        model=plan.model_name,
        model_version=plan.model_version,
        options=plan.options_record(),
    )
    folder.write(part_name(shard.number), parquet_bytes(table))
    return totals_of(shard.rows)


def _write_tar(path: Path, shard: FinishedShard) -> None:
    """A tar file with nothing in it that depends on when and where it was written."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for _, name, offset, length in shard.photos:
            assert shard.spool is not None, "photos lie in the spool"
            shard.spool.seek(offset)
            member = tarfile.TarInfo(name)
            member.size, member.mode = length, 0o644
            archive.addfile(member, BytesIO(shard.spool.read(length)))
    if shard.spool is not None:
        shard.spool.close()
