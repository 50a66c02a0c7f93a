from __future__ import annotations

from pathlib import Path

import pytest

from ffcore.jobs.reading import read_shard
from ffcore.jobs.shards import find_shards
from tests.jobs.sources import jpegs, one_jpeg, write_tar


def test_single_photos_come_in_their_order_and_a_missing_one_with_its_error(tmp_path: Path) -> None:
    contents = list(jpegs(20))
    for i, content in enumerate(contents):
        (tmp_path / f"{i:02d}.jpg").write_bytes(content)
    (shard,) = find_shards([tmp_path])
    (tmp_path / "07.jpg").unlink()
    photos = list(read_shard(shard))
    assert [photo.error for photo in photos] == ["does not exist" if i == 7 else "" for i in range(20)]
    assert [photo.content for photo in photos] == [b"" if i == 7 else each for i, each in enumerate(contents)]
    assert photos[3].uri == str(tmp_path / "03.jpg")


def test_a_tar_file_gives_its_photos_and_passes_over_the_rest(tmp_path: Path) -> None:
    jpeg = one_jpeg(32)
    path = write_tar(tmp_path / "a.tar", [("./x/1.jpg", jpeg), ("x/1.json", b"{}"), ("x/._1.jpg", b"junk")])
    (photo,) = read_shard(find_shards([path])[0])
    assert photo == (f"{path}#x/1.jpg", "x/1.jpg", jpeg, "")


def test_no_name_in_a_tar_file_climbs_out_of_a_folder(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", [("../../etc/1.jpg", one_jpeg(32)), ("/abs/2.jpg", one_jpeg(32))])
    assert [photo.name for photo in read_shard(find_shards([path])[0])] == ["etc/1.jpg", "abs/2.jpg"]


def test_a_tar_file_that_breaks_off_gives_what_comes_before_and_one_error(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", [(f"{i}.jpg", content) for i, content in enumerate(jpegs(5))])
    whole = path.read_bytes()
    at = whole.index(b"3.jpg") + 600  # within the fourth photo
    path.write_bytes(whole[:at])
    *before, last = read_shard(find_shards([path])[0])
    assert [photo.content for photo in before] == list(jpegs(5))[:3]
    assert last.uri == str(path)
    assert "breaks off" in last.error
    assert "\n" not in last.error


@pytest.mark.parametrize("content", [b"", b"this is no tar file at all " * 100])
def test_a_tar_file_that_is_none_is_one_row_with_an_error_or_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.tar").write_bytes(content)
    (photo,) = read_shard(find_shards([tmp_path])[0])
    assert (photo.uri, photo.content) == (str(tmp_path / "a.tar"), b"")
    assert photo.error
