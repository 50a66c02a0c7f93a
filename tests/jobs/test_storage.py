from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from ffcore.errors import InputError, MissingDependencyError
from ffcore.jobs.storage import Folder, absolute


@pytest.fixture(params=["disk", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Folder]:
    if request.param == "disk":
        yield Folder(tmp_path / "out")
        return
    fsspec.filesystem("memory").makedirs("/storage-test")
    yield Folder("memory://storage-test/out")
    fsspec.filesystem("memory").rm("/storage-test", recursive=True)


def test_what_is_written_reads_back(folder: Folder, tmp_path: Path) -> None:
    assert folder.names() == set()
    folder.write("a.txt", b"one")
    folder.write("a.txt", b"two")
    (tmp_path / "local").write_bytes(b"three")
    folder.upload("below/b.txt", tmp_path / "local")
    assert folder.names() == {"a.txt", "below"}  # and nothing half-written
    assert folder.read("a.txt") == b"two"
    assert folder.read("below/b.txt") == b"three"
    with folder.open("a.txt") as file:
        assert file.read() == b"two"


def test_a_file_that_is_not_there_is_named(folder: Folder) -> None:
    with pytest.raises(InputError, match=r"nothing\.txt: cannot be read"):
        folder.read("nothing.txt")


def test_a_write_that_breaks_off_leaves_the_older_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store = fsspec.filesystem("memory")
    folder = Folder("memory://storage-test/out")
    try:
        folder.write("a", b"old")
        pipe = type(store).pipe_file

        def broken(self: object, path: str, value: bytes, **options: object) -> None:
            pipe(store, path, value[:1])
            raise ConnectionError("gone")

        monkeypatch.setattr(type(store), "pipe_file", broken)
        with pytest.raises(InputError, match="out/a: cannot be written: gone"):
            folder.write("a", b"new")
        assert folder.read("a") == b"old"
    finally:
        store.rm("/storage-test", recursive=True)


def test_addresses_mean_the_same_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute("x/y") == str(tmp_path / "x" / "y")
    assert absolute(f"file://{tmp_path}/x") == str(tmp_path / "x")
    assert absolute("s3://bucket/x/") == "s3://bucket/x"


def test_a_store_of_no_known_kind_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="no such kind of store"):
        Folder("attic://box/photos")

    def missing(*_: object, **__: object) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    with pytest.raises(MissingDependencyError, match="Install s3fs to access S3"):
        Folder("s3://bucket/photos")
