from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffcore.jobs.collect import Collector, FinishedShard, commit
from ffcore.jobs.columns import Batch, column
from ffcore.jobs.storage import Folder
from tests.jobs.in_process import batches, plan_of, results, run_here
from tests.jobs.sources import read_tar, tar_shards


def batch(rows: list[tuple[int, int]], *, end: bool = False) -> Batch:
    n = len(rows)
    return {
        "shard": np.array([shard for shard, _ in rows], np.int32),
        "index": np.array([index for _, index in rows], np.int32),
        "uri": column(f"{shard}/{index}" for shard, index in rows),
        "end": np.full(n, end),
        **{name: np.full(n, 8, np.int32) for name in ("width", "height", "seen_width", "seen_height")},
        "boxes": column(np.zeros((index % 2, 4), np.float32) for _, index in rows),
        "scores": column(np.zeros(index % 2, np.float32) for _, index in rows),
        "landmarks": column(np.zeros((index % 2, 10), np.float32) for _, index in rows),
        "error": column([""] * n),
    }


@given(st.lists(st.integers(0, 9), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_rows_in_any_order_and_more_than_once_give_every_shard_once(
    counts: list[int], chance: random.Random
) -> None:
    pieces = [batch([(shard, i)]) for shard, count in enumerate(counts) for i in range(count)]
    pieces += [batch([(shard, count)], end=True) for shard, count in enumerate(counts)]
    pieces += chance.choices(pieces, k=5)
    chance.shuffle(pieces)
    collector = Collector()
    finished: dict[int, FinishedShard] = {}
    photos = 0
    for piece in pieces:
        new, shards = collector.add(piece)
        photos += len(new)
        for shard in shards:
            assert shard.number not in finished
            finished[shard.number] = shard
    assert {number: len(shard.rows) for number, shard in finished.items()} == dict(enumerate(counts))
    assert all(
        [row.index for row in shard.rows] == sorted(row.index for row in shard.rows)
        for shard in finished.values()
    )
    assert photos == sum(counts)


def test_a_shard_with_a_missing_row_is_not_finished_and_its_rows_are_given_back() -> None:
    collector = Collector()
    assert collector.add(batch([(0, 0), (0, 2)]))[1] == []
    assert collector.add(batch([(0, 3)], end=True))[1] == []
    assert collector.close().photos == 2


def test_a_folder_of_results_does_not_depend_on_the_order_of_the_rows(tmp_path: Path) -> None:
    plan = plan_of([tar_shards(tmp_path / "in", shards=3, photos=6, broken=5)], anonymize="solid")
    run_here(plan, tmp_path / "a")
    pieces = list(batches(plan, [2, 0, 1]))
    random.Random(1).shuffle(pieces)
    collector, folder = Collector(), Folder(tmp_path / "b")
    for piece in pieces:
        for shard in collector.add(piece)[1]:
            commit(shard, plan, folder)
    assert results(tmp_path / "a") == results(tmp_path / "b")
    assert len(results(tmp_path / "a")) == 6


def test_changed_photos_are_a_tar_file_beside_the_table(tmp_path: Path) -> None:
    source = tar_shards(tmp_path / "in", shards=1, photos=6, broken=3)
    run_here(plan_of([source], anonymize="blur"), tmp_path / "out")
    photos = read_tar(tmp_path / "out" / "_photos" / "part-000000.tar")
    rows = pq.read_table(
        tmp_path / "out"
    ).to_pylist()  # the tar file does not disturb whoever reads the table
    assert list(photos) == [row["uri"].rpartition("#")[2] for row in rows if row["error"] is None]
    assert len(photos) == 4
    before = read_tar(source / "shard-0000.tar")
    assert all(photos[name] != before[name] for name in photos)


def test_a_table_that_cannot_be_written_leaves_the_shard_for_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of([tar_shards(tmp_path / "in", shards=2, photos=3)])
    write = Folder.write

    def full(self: Folder, name: str, content: bytes) -> None:
        if name == "part-000001.parquet":
            raise OSError("no space")
        write(self, name, content)

    with monkeypatch.context() as patch:
        patch.setattr(Folder, "write", full)
        with pytest.raises(OSError, match="no space"):
            run_here(plan, tmp_path / "out")
    assert list(results(tmp_path / "out")) == ["part-000000.parquet"]
    run_here(plan, tmp_path / "out")
    run_here(plan, tmp_path / "undisturbed")
    assert results(tmp_path / "out") == results(tmp_path / "undisturbed")
