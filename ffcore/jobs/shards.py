"""From what a user names to the shards of a job: the parts that are finished whole or not at all.

A shard is a tar file, some row groups of a Parquet file, or a slice of a list of photos. The same sources
always give the same shards in the same order, which is what lets a second run go on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from ffcore.errors import ConfigError, InputError, did_you_mean, one_line
from ffcore.images.kinds import PHOTO_SUFFIXES, VIDEO_SUFFIXES
from ffcore.jobs.storage import absolute, filesystem, open_for_reading, with_protocol

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz")
PARQUET_SUFFIXES = (".parquet", ".pq")
LIST_SUFFIXES = (".txt", ".lst", ".list")

DEFAULT_SHARD_SIZE = 1000
"""Photos of a shard, where these lie singly or in a Parquet file."""

_COLUMNS = ("image", "image_bytes", "bytes", "jpg", "jpeg", "png", "webp", "img", "photo", "content")
"""Names under which a Parquet file is looked through for encoded images, in this order."""

_FOOTERS_AT_ONCE = 16

Kind = Literal["photos", "tar", "parquet"]


@dataclass(frozen=True)
class Shard:
    """One part of a job.

    Args:
        kind: What it is.
        uris: Of its photos, or of the one file that holds them.
        photos: How many there are, or None when only reading it will tell.
        identity: A text that changes when the shard becomes another one.
        row_groups: First and one past the last, for Parquet.
        first_row: Number of its first row in the Parquet file.
        column: Of the encoded images, for Parquet.
    """

    kind: Kind
    uris: tuple[str, ...]
    photos: int | None
    identity: str
    row_groups: tuple[int, int] = (0, 0)
    first_row: int = 0
    column: str = ""

    def to_json(self) -> str:
        """The shard as text, for its way to another machine."""
        return json.dumps(self.__dict__)

    @classmethod
    def from_json(cls, text: str) -> Shard:
        """What `to_json` wrote."""
        values = json.loads(text)
        return cls(**{**values, "uris": tuple(values["uris"]), "row_groups": tuple(values["row_groups"])})


def find_shards(
    names: Sequence[str | Path], *, size: int = DEFAULT_SHARD_SIZE, column: str | None = None
) -> list[Shard]:
    """Expand files, folders, patterns and lists, here or in a store, into shards.

    - A folder stands for the photos, tar files and Parquet files in it and below, hidden ones left out, in
      the order of their addresses.
    - A pattern with ``*``, ``?``, ``[...]`` or ``**`` stands for the files that it matches.
    - A text file (``.txt``, ``.lst``, ``.list``) names photos, tar or Parquet files, one a line.

    Args:
        names: Paths or URIs.
        size: Photos of a shard that is no tar file, at most; a single row group may hold more.
        column: Of the encoded images in Parquet files; None finds it by name or by type.

    Returns:
        At least one shard: first the photos in slices, then tar and Parquet files.

    Raises:
        InputError: A name leads nowhere, or to something else.
        ConfigError: `size` is less than one.
    """
    if size < 1:
        raise ConfigError(f"shard size = {size}: at least 1 photo is needed")
    found: dict[
        str, str
    ] = {}  # address to what is known of its version; a dict keeps order and drops doubles
    for name in names:
        for address, version in _expand(str(name)):
            found.setdefault(address, version)
    photos = [address for address in found if _kind(address) == "photos"]
    shards = [_slice(photos[i : i + size]) for i in range(0, len(photos), size)]
    tables = [address for address in found if _kind(address) == "parquet"]
    with ThreadPoolExecutor(_FOOTERS_AT_ONCE) as readers:
        tabular = dict(
            zip(
                tables,
                readers.map(lambda each: _row_groups(each, found[each], size, column), tables),
                strict=True,
            )
        )
    for address, version in found.items():
        if _kind(address) == "tar":
            shards.append(Shard("tar", (address,), None, f"{address} {version}"))
        shards += tabular.get(address, [])
    if not shards:
        raise InputError("the sources hold no photos; name folders, tar or Parquet files with some")
    return shards


def _kind(address: str) -> Kind | None:
    name = address.lower()
    if name.endswith(TAR_SUFFIXES):
        return "tar"
    if name.endswith(PARQUET_SUFFIXES):
        return "parquet"
    return "photos" if Path(name).suffix in PHOTO_SUFFIXES else None


def _expand(name: str) -> Iterator[tuple[str, str]]:
    """Addresses of photos and containers that a name stands for, each with its size and date or ETag."""
    address = absolute(name)
    system, path = filesystem(address)
    try:
        facts = _facts(system, path)
        if facts is None and any(letter in name for letter in "*?["):
            yield from _listed(system, system.glob(path, detail=True), name)
            return
        if facts is None:
            raise InputError(f"{name}: does not exist; check the name")
        if facts["type"] == "directory":
            yield from _listed(system, system.find(path, detail=True), name, root=path)
        elif name.lower().endswith(LIST_SUFFIXES):
            yield from _lines(system.cat_file(path), name)
        elif Path(name).suffix.lower() in VIDEO_SUFFIXES:
            raise InputError(f"{name}: videos are not for this engine; use the default one")
        elif _kind(address) is None:
            raise InputError(f"{name}: is no photo, tar, Parquet or .txt file by its suffix; rename it")
        else:
            yield address, _version(facts)
    except (InputError, ImportError):
        raise
    except Exception as error:  # stores raise what they like
        raise InputError(f"{name}: cannot be read: {' '.join(str(error).split())[:200]}") from error


def _facts(system: Any, path: str) -> dict[str, Any] | None:
    try:
        facts: dict[str, Any] = system.info(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return facts


def _listed(system: Any, found: dict[str, Any], name: str, *, root: str = "") -> Iterator[tuple[str, str]]:
    """What a folder or a pattern stands for; below `root` nothing hidden counts."""
    some = False
    for path in sorted(found):
        below = path.removeprefix(root) if root else path.rpartition("/")[2]
        hidden = any(part.startswith(".") for part in below.split("/"))
        if found[path]["type"] == "file" and _kind(path) and not hidden:
            some = True
            yield with_protocol(system, path), _version(found[path])
    if not some:
        raise InputError(f"{name}: stands for no photos, tar or Parquet files; check the name")


def _lines(content: bytes, name: str) -> Iterator[tuple[str, str]]:
    """The addresses of a list. No store is asked for each: what is missing becomes a row with an error."""
    for number, line in enumerate(content.decode("utf-8", "surrogateescape").splitlines(), 1):
        if text := line.strip():
            address = absolute(text)
            if _kind(address) is None:
                raise InputError(
                    f"{name} line {number}: {text!r} is no photo, tar or Parquet file by its suffix"
                )
            yield address, ""


def _version(facts: dict[str, Any]) -> str:
    """What tells a file from a later one of its name: the store's tag, or size and time."""
    tag = facts.get("ETag") or facts.get("etag") or facts.get("md5Hash") or facts.get("mtime") or ""
    return f"{facts.get('size', '')} {tag}".strip()


def _slice(uris: Sequence[str]) -> Shard:
    digest = hashlib.sha256("\n".join(uris).encode("utf-8", "surrogateescape")).hexdigest()
    return Shard("photos", tuple(uris), len(uris), f"{len(uris)} photos {digest}")


def _row_groups(address: str, version: str, size: int, column: str | None) -> list[Shard]:
    """Slices of a Parquet file along its row groups, each of at most `size` rows where groups allow it."""
    import pyarrow.parquet as pq
    from pyarrow import ArrowException

    try:
        with open_for_reading(address) as file, pq.ParquetFile(file) as table:
            schema = table.schema_arrow
            rows = [table.metadata.row_group(i).num_rows for i in range(table.metadata.num_row_groups)]
    except (OSError, ArrowException) as error:
        raise InputError(f"{address}: cannot be read as Parquet: {one_line(error)}") from error
    chosen = _image_column(schema, address, column)
    starts = [0]
    count = 0
    for group, more in enumerate(rows):
        if group > starts[-1] and count + more > size:
            starts.append(group)
            count = 0
        count += more
    return [
        Shard(
            "parquet",
            (address,),
            sum(rows[first:last]),
            f"{address} {version} row groups {first} to {last} column {chosen}",
            (first, last),
            sum(rows[:first]),
            chosen,
        )
        for first, last in pairwise([*starts, len(rows)])
    ]


def _image_column(schema: Any, address: str, wanted: str | None) -> str:
    """The column of encoded images: bytes, or a struct that holds them as ``bytes``."""
    import pyarrow.types as types

    def encoded(kind: Any) -> bool:
        if types.is_struct(kind):
            return any(field.name == "bytes" and encoded(field.type) for field in kind)
        return bool(types.is_binary(kind) or types.is_large_binary(kind))

    fitting = [field.name for field in schema if encoded(field.type)]
    if wanted is not None:
        if wanted not in schema.names:
            raise InputError(f"{address}: has no column {wanted!r}; {did_you_mean(wanted, schema.names)}")
        if wanted not in fitting:
            raise InputError(
                f"{address}: column {wanted!r} holds {schema.field(wanted).type}, not encoded images"
            )
        return wanted
    known = [name for name in _COLUMNS if name in fitting] or (fitting if len(fitting) == 1 else [])
    if not known:
        what = (
            f"several columns of bytes ({', '.join(fitting)})" if fitting else "no column of encoded images"
        )
        raise InputError(f"{address}: has {what}; name the right one as image column")
    return known[0]
