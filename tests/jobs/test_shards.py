from __future__ import annotations

from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ffcore.errors import ConfigError, InputError
from ffcore.jobs.reading import read_shard
from ffcore.jobs.shards import Shard, find_shards
from tests.jobs.sources import jpegs, one_jpeg, write_tar


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "b").mkdir(parents=True)
    for name in ("c.jpg", "b/a.JPG", "a.png", ".hidden.jpg", "notes.md"):
        (folder / name).write_bytes(one_jpeg(32))
    return folder


def uris(shards: list[Shard]) -> list[list[str]]:
    return [[Path(uri).name for uri in shard.uris] for shard in shards]


def test_a_folder_is_cut_into_slices_in_the_order_of_addresses(photos: Path) -> None:
    assert uris(find_shards([photos], size=2)) == [["a.png", "a.JPG"], ["c.jpg"]]


def test_the_same_sources_give_the_same_shards_and_another_photo_another_identity(photos: Path) -> None:
    before = find_shards([photos])
    assert find_shards([photos]) == before
    (photos / "new.jpg").write_bytes(b"")
    assert find_shards([photos])[0].identity != before[0].identity


def test_a_source_that_is_named_twice_counts_once(photos: Path) -> None:
    assert uris(find_shards([photos, photos / "c.jpg"])) == [["a.png", "a.JPG", "c.jpg"]]


def test_patterns_and_lists_stand_for_what_they_name(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert uris(find_shards(["photos/*.jpg"])) == [["c.jpg"]]
    assert uris(find_shards(["photos/**/*.JPG"])) == [["a.JPG"]]
    (tmp_path / "names.txt").write_text(f"photos/c.jpg\n\n{photos / 'gone.png'}\n", encoding="utf-8")
    shards = find_shards(["names.txt"])
    assert shards[0].uris == (str(photos / "c.jpg"), str(photos / "gone.png"))


def test_every_tar_file_is_a_shard_of_its_own(tmp_path: Path) -> None:
    for name in ("b.tar", "a.tar"):
        write_tar(tmp_path / name, [("x.jpg", one_jpeg(32))])
    shards = find_shards([tmp_path])
    assert [(shard.kind, Path(shard.uris[0]).name, shard.photos) for shard in shards] == [
        ("tar", "a.tar", None),
        ("tar", "b.tar", None),
    ]


def test_a_store_is_searched_like_a_folder() -> None:
    store = fsspec.filesystem("memory")
    store.pipe_file("/bucket/photos/a.jpg", one_jpeg(32))
    store.pipe_file("/bucket/photos/x.tar", b"")
    try:
        shards = find_shards(["memory://bucket/photos"])
        assert [shard.uris[0] for shard in shards] == [
            "memory:///bucket/photos/a.jpg",
            "memory:///bucket/photos/x.tar",
        ]
        assert [photo.content for photo in read_shard(shards[0])] == [one_jpeg(32)]
    finally:
        store.rm("/bucket", recursive=True)


def table(path: Path, *, groups: list[int], column: str = "image", struct: bool = False) -> Path:
    images = list(jpegs(sum(groups)))
    values = pa.array(
        [{"bytes": each, "path": None} for each in images] if struct else images,
        pa.struct([("bytes", pa.binary()), ("path", pa.string())]) if struct else pa.binary(),
    )
    whole = pa.table({column: values, "label": list(range(len(images)))})
    start = 0
    with pq.ParquetWriter(path, whole.schema) as writer:
        for count in groups:
            writer.write_table(whole.slice(start, count), row_group_size=max(count, 1))
            start += count
    return path


@pytest.mark.parametrize(
    ("groups", "size", "expected"),
    [
        ([3, 3, 3], 6, [(0, 2, 0, 6), (2, 3, 6, 3)]),
        ([3, 3, 3], 100, [(0, 3, 0, 9)]),
        ([3, 3], 1, [(0, 1, 0, 3), (1, 2, 3, 3)]),  # a row group is never cut
        ([], 5, [(0, 0, 0, 0)]),  # an empty table is a shard without photos
    ],
)
def test_a_parquet_file_is_cut_along_its_row_groups(
    tmp_path: Path, groups: list[int], size: int, expected: list[tuple[int, int, int, int]]
) -> None:
    shards = find_shards([table(tmp_path / "t.parquet", groups=groups)], size=size)
    assert [(*s.row_groups, s.first_row, s.photos) for s in shards] == expected
    read = [photo for shard in shards for photo in read_shard(shard)]
    assert [photo.content for photo in read] == list(jpegs(sum(groups)))
    assert [photo.uri.rpartition("#")[2] for photo in read] == [str(i) for i in range(sum(groups))]


@pytest.mark.parametrize("struct", [False, True])
def test_the_column_of_images_is_found_by_its_type(tmp_path: Path, struct: bool) -> None:
    path = table(tmp_path / "t.parquet", groups=[2], column="whatever", struct=struct)
    shards = find_shards([path])
    assert shards[0].column == "whatever"
    assert len([photo.content for photo in read_shard(shards[0]) if photo.content]) == 2


def test_a_column_that_is_none_of_images_is_an_error_with_the_near_name(tmp_path: Path) -> None:
    path = table(tmp_path / "t.parquet", groups=[1])
    with pytest.raises(InputError, match="did you mean 'image'"):
        find_shards([path], column="imagee")
    with pytest.raises(InputError, match="int64, not encoded images"):
        find_shards([path], column="label")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone", None, "does not exist"),
        ("film.mp4", b"x", "videos are not for this engine"),
        ("data.bin", b"x", "no photo, tar, Parquet or .txt file"),
        ("bad.parquet", b"no table", "cannot be read as Parquet"),
        ("list.txt", b"fine.jpg\nfilm.mp4\n", "line 2: 'film.mp4' is no photo"),
    ],
)
def test_a_name_that_leads_nowhere_is_one_line(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        find_shards([tmp_path / name])
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_empty_folder_and_an_empty_pattern_are_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="stands for no photos"):
        find_shards([tmp_path])
    with pytest.raises(InputError, match="stands for no photos"):
        find_shards([tmp_path / "*.jpg"])
    with pytest.raises(ConfigError, match="at least 1"):
        find_shards([tmp_path], size=0)


def test_a_shard_survives_its_way_as_text(tmp_path: Path) -> None:
    (shard,) = find_shards([table(tmp_path / "t.parquet", groups=[2])])
    assert Shard.from_json(shard.to_json()) == shard
