"""The table of results: its columns, and the way between its rows and `Faces`.

Version 1, one row a photo:

============= ============================= ==============================================================
column        type                          meaning
============= ============================= ==============================================================
uri           string                        address; ``file.tar#member``, ``file.parquet#row`` within a file
index         int32                         place within the input shard, from 0
width, height int32                         of the upright photo, pixels; null with an error
seen_width,   int32                         how large the network saw it, pixels; null with an error
seen_height
boxes         list<float32[4]>              x1 y1 x2 y2, pixels of the photo, best first
scores        list<float32>                 0..1
landmarks     list<float32[10]>             x y of left eye, right eye, nose, left and right mouth corner
model         string                        name of the weights
model_version string                        ``sha256:`` and the digest of the file of weights
error         string                        why the photo has no result, or null
============= ============================= ==============================================================

The footer of each file has ``featherface.schema`` (the version), ``featherface.options`` (how photos were
looked at) and ``featherface.totals`` (photos, faces, errors by kind of the file), the latter two as JSON.
"""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ffcore.errors import InputError
from ffcore.faces import Faces
from ffcore.results import ImageFaces

SCHEMA_VERSION = 1

SCHEMA = pa.schema(
    [
        pa.field("uri", pa.string(), nullable=False),
        pa.field("index", pa.int32(), nullable=False),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("seen_width", pa.int32()),
        pa.field("seen_height", pa.int32()),
        pa.field("boxes", pa.list_(pa.list_(pa.float32(), 4)), nullable=False),
        pa.field("scores", pa.list_(pa.float32()), nullable=False),
        pa.field("landmarks", pa.list_(pa.list_(pa.float32(), 10)), nullable=False),
        pa.field("model", pa.string(), nullable=False),
        pa.field("model_version", pa.string(), nullable=False),
        pa.field("error", pa.string()),
    ]
)

_SIZES = ("width", "height", "seen_width", "seen_height")
_PREFIX = "featherface."


@dataclass
class Totals:
    """Sums over photos.

    Args:
        photos: How many.
        faces: In all of them.
        shrunk: Photos of which the network saw less than they hold.
        errors: Kind of error to photos that have it.
    """

    photos: int = 0
    faces: int = 0
    shrunk: int = 0
    errors: Counter[str] = field(default_factory=Counter)

    def add(self, other: Totals) -> None:
        """Counts other photos too."""
        self.photos += other.photos
        self.faces += other.faces
        self.shrunk += other.shrunk
        self.errors.update(other.errors)

    @property
    def failed(self) -> int:
        """Photos with an error."""
        return self.errors.total()


@dataclass(frozen=True)
class Row:
    """What the detection says of one photo; the columns of the table but for the model."""

    uri: str
    index: int
    size: tuple[int, int, int, int]
    """Width, height, seen width, seen height."""
    faces: Faces
    error: str


def rows_of(batch: Mapping[str, Any]) -> Iterator[Row]:
    """The rows of a batch as `DetectFaces` gives it.

    Args:
        batch: With ``uri``, ``index`` and the columns of the detection.
    """
    for i, uri in enumerate(batch["uri"]):
        yield Row(
            str(uri),
            int(batch["index"][i]),
            tuple(int(batch[name][i]) for name in _SIZES),  # type: ignore[arg-type]  # four of them
            Faces(
                boxes=np.reshape(batch["boxes"][i], (-1, 4)),
                scores=np.reshape(batch["scores"][i], -1),
                landmarks=np.reshape(batch["landmarks"][i], (-1, 5, 2)),
            ),
            str(batch["error"][i]),
        )


def totals_of(rows: Iterable[Row]) -> Totals:
    """Sums over rows."""
    totals = Totals()
    for row in rows:
        width, height, seen_width, seen_height = row.size
        totals.photos += 1
        totals.faces += len(row.faces)
        totals.shrunk += seen_width < width or seen_height < height
        if row.error:
            totals.errors[error_kind(row.error)] += 1
    return totals


def error_kind(reason: str) -> str:
    """What an error has in common with others: its first words, without numbers.

    Example:
        >>> error_kind("has 90000 × 70000 pixels, more than the limit of 200 megapixels; shrink it first")
        'has N × N pixels'
    """
    return re.sub(r"\d[\d.,]*", "N", re.split(r"[:;(]|, ", reason, maxsplit=1)[0]).strip()


def faces_table(
    rows: Iterable[Row], *, model: str, model_version: str, options: Mapping[str, Any] | None = None
) -> pa.Table:
    """Rows as an Arrow table with `SCHEMA` and the entries of the footer.

    Args:
        rows: In the order that is wanted.
        model: Name of the weights.
        model_version: ``sha256:`` and their digest.
        options: How photos were looked at, as values that JSON has.
    """
    listed = list(rows)
    counts = np.array([0, *(len(row.faces) for row in listed)], np.int32)
    offsets = pa.array(np.cumsum(counts, dtype=np.int32))
    together = Faces.concatenate([row.faces for row in listed])
    sizes = {
        name: pa.array([row.size[i] or None for row in listed], pa.int32()) for i, name in enumerate(_SIZES)
    }

    def lists(values: Any, width: int) -> pa.Array:
        flat = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1), pa.float32()), width)
        return pa.ListArray.from_arrays(offsets, flat)

    columns = {
        "uri": pa.array([_text(row.uri) for row in listed], pa.string()),
        "index": pa.array([row.index for row in listed], pa.int32()),
        **sizes,
        "boxes": lists(together.boxes, 4),
        "scores": pa.ListArray.from_arrays(offsets, pa.array(together.scores, pa.float32())),
        "landmarks": lists(together.landmarks, 10),
        "model": pa.array([model] * len(listed), pa.string()),
        "model_version": pa.array([model_version] * len(listed), pa.string()),
        "error": pa.array([_text(row.error) if row.error else None for row in listed], pa.string()),
    }
    totals = totals_of(listed)
    entries = {
        "schema": str(SCHEMA_VERSION),
        "options": json.dumps(options or {}, sort_keys=True),
        "totals": json.dumps({**totals.__dict__, "errors": dict(sorted(totals.errors.items()))}),
    }
    return pa.table(
        columns, schema=SCHEMA.with_metadata({_PREFIX + key: value for key, value in entries.items()})
    )


def parquet_bytes(table: pa.Table) -> bytes:
    """A table as the content of a Parquet file; equal tables give equal bytes."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def totals_in_footer(file: Any, name: str) -> Totals:
    """What the footer of a file of results says about its photos.

    Args:
        file: Opened for reading with jumps.
        name: For errors.

    Raises:
        InputError: It is no such file.
    """
    values = json.loads(_footer(pq.read_metadata(file).metadata, "totals", name))
    return Totals(**{**values, "errors": Counter(values["errors"])})


def read_rows(file: Any, name: str) -> Iterator[Row]:
    """The rows of a file of results, some at a time.

    Args:
        file: Opened for reading with jumps.
        name: For errors.

    Raises:
        InputError: It is no such file, or one of another version of the schema.
    """
    try:
        table = pq.ParquetFile(file)
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"{name}: cannot be read as Parquet: {' '.join(str(error).split())[:200]}"
        ) from error
    version = _footer(table.schema_arrow.metadata, "schema", name)
    if version != str(SCHEMA_VERSION):
        raise InputError(
            f"{name}: has schema {version}, but this version reads {SCHEMA_VERSION}; update the package"
        )
    for batch in table.iter_batches(batch_size=1024):
        values = {key: batch.column(key) for key in SCHEMA.names}
        for i in range(batch.num_rows):
            scores = _floats(values["scores"][i].values)
            yield Row(
                values["uri"][i].as_py(),
                values["index"][i].as_py(),
                tuple(values[key][i].as_py() or 0 for key in _SIZES),  # type: ignore[arg-type]  # four of them
                Faces(
                    boxes=_floats(values["boxes"][i].values.flatten()).reshape(-1, 4),
                    scores=scores,
                    landmarks=_floats(values["landmarks"][i].values.flatten()).reshape(-1, 5, 2),
                ),
                values["error"][i].as_py() or "",
            )


def image_faces(row: Row) -> ImageFaces:
    """A row as the result type that every format of ours is written from.

    Args:
        row: One without an error.
    """
    return ImageFaces(row.uri, row.size[0], row.size[1], row.faces)


def _footer(metadata: Mapping[bytes, bytes] | None, key: str, name: str) -> str:
    found = (metadata or {}).get((_PREFIX + key).encode())
    if found is None:
        raise InputError(f"{name}: is no table of faces, its footer has no entry {_PREFIX}{key}")
    return found.decode()


def _floats(values: Any) -> Any:
    return values.to_numpy(zero_copy_only=False).astype(np.float32, copy=False)


def _text(value: str) -> str:
    """Text that UTF-8 can hold: bytes of a name that are none become escapes."""
    return value.encode("utf-8", "backslashreplace").decode()
