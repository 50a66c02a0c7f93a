"""The photos of a shard, one after the other, still encoded."""

from __future__ import annotations

import tarfile
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from ffcore.errors import one_line
from ffcore.images.kinds import PHOTO_SUFFIXES
from ffcore.jobs.shards import Shard
from ffcore.jobs.storage import filesystem, open_for_reading

_FETCHED_AHEAD = 8
"""Single photos that are on their way at once: a store answers in some 30 ms, a core wants one in 20."""

_ROWS_AT_ONCE = 16


class Photo(NamedTuple):
    """A photo that was read, or the reason why not."""

    uri: str
    """Its address; ``file.tar#member`` or ``file.parquet#row`` within another file."""
    name: str
    """A relative path that is unique within the shard, with the suffix of its format where it has one."""
    content: bytes
    """The encoded photo; empty where there is an error."""
    error: str
    """Why it could not be read, in one line; empty otherwise."""


def read_shard(shard: Shard) -> Iterator[Photo]:
    """The photos of a shard in their order.

    What cannot be read is a photo with an error. A tar or Parquet file that breaks off gives what comes
    before, and then one photo with the address of the file and the error.

    Args:
        shard: From `find_shards`.
    """
    if shard.kind == "photos":
        yield from _single(shard)
        return
    uri = shard.uris[0]
    try:
        yield from _tar(uri) if shard.kind == "tar" else _parquet(shard)
    except Exception as error:  # tarfile, pyarrow, the decompressors and the stores share no base below this
        yield Photo(uri, Path(uri).name, b"", f"breaks off or cannot be read: {one_line(error)}")


def _single(shard: Shard) -> Iterator[Photo]:
    remaining = iter(shard.uris)
    with ThreadPoolExecutor(_FETCHED_AHEAD) as fetchers:
        waiting = deque(fetchers.submit(_fetch, uri) for uri in islice(remaining, _FETCHED_AHEAD))
        while waiting:
            photo = waiting.popleft().result()
            waiting.extend(fetchers.submit(_fetch, uri) for uri in islice(remaining, 1))
            yield photo


def _fetch(uri: str) -> Photo:
    name = uri.partition("://")[2] or uri.replace("\\", "/").lstrip("/")
    try:
        system, path = filesystem(uri)
        return Photo(uri, name, bytes(system.cat_file(path)), "")
    except FileNotFoundError:
        return Photo(uri, name, b"", "does not exist")
    except PermissionError:
        return Photo(uri, name, b"", "may not be read; check its permissions")
    except Exception as error:  # stores raise what they like
        return Photo(uri, name, b"", f"cannot be read: {one_line(error)}")


def _tar(uri: str) -> Iterator[Photo]:
    with open_for_reading(uri) as file, tarfile.open(fileobj=file, mode="r|*") as archive:
        for member in archive:
            # names may climb out of a folder; what is made of this one must not
            parts = [part for part in member.name.split("/") if part not in ("", ".", "..")]
            name = "/".join(parts)
            if not member.isfile() or not parts or parts[-1].startswith("."):
                continue
            if Path(name).suffix.lower() not in PHOTO_SUFFIXES:
                continue
            content = archive.extractfile(member)
            assert content is not None, "a regular file has content"
            yield Photo(f"{uri}#{name}", name, content.read(), "")


def _parquet(shard: Shard) -> Iterator[Photo]:
    import pyarrow.parquet as pq

    uri, number = shard.uris[0], shard.first_row
    with open_for_reading(uri) as file, pq.ParquetFile(file) as table:
        for batch in table.iter_batches(
            batch_size=_ROWS_AT_ONCE, row_groups=list(range(*shard.row_groups)), columns=[shard.column]
        ):
            for value in batch.column(0).to_pylist():
                content: Any = value["bytes"] if isinstance(value, dict) else value
                error = "" if content is not None else "has no image in its row"
                yield Photo(f"{uri}#{number}", f"{number:08d}", content or b"", error)
                number += 1
