from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffcore.errors import InputError
from ffcore.faces import Faces
from ffcore.jobs.table import (
    SCHEMA,
    SCHEMA_VERSION,
    Row,
    error_kind,
    faces_table,
    image_faces,
    parquet_bytes,
    read_rows,
    totals_in_footer,
    totals_of,
)

MODEL = {"model": "v2", "model_version": "sha256:00"}


def faces(count: int, seed: int = 0) -> Faces:
    rng = np.random.default_rng(seed)
    return Faces(
        boxes=rng.normal(size=(count, 4)).astype(np.float32),
        scores=rng.random(count).astype(np.float32),
        landmarks=rng.normal(size=(count, 5, 2)).astype(np.float32),
    )


def row(index: int, count: int = 1, error: str = "") -> Row:
    size = (0, 0, 0, 0) if error else (640, 480, 320, 240)
    return Row(f"s3://bucket/{index}.jpg", index, size, faces(0 if error else count, index), error)


rows = st.lists(
    st.builds(row, st.integers(0, 999), st.integers(0, 4), st.sampled_from(["", "is empty (0 bytes)"])),
    max_size=12,
)


@given(rows)
def test_rows_read_back_as_they_were_written(written: list[Row]) -> None:
    table = faces_table(written, **MODEL)
    file = io.BytesIO(parquet_bytes(table))
    assert list(read_rows(file, "it")) == written
    file.seek(0)
    totals = totals_in_footer(file, "it")
    assert totals == totals_of(written)
    assert totals.photos == len(written)


def test_the_table_has_the_documented_columns_and_nulls() -> None:
    table = faces_table([row(0, 2), row(1, error="is empty (0 bytes)")], **MODEL, options={"score": 0.5})
    assert table.schema.equals(SCHEMA)
    first, second = table.to_pylist()
    assert (first["width"], first["seen_height"], first["error"], len(first["boxes"])) == (640, 240, None, 2)
    assert len(first["landmarks"][0]) == 10
    assert (second["width"], second["boxes"], second["error"]) == (None, [], "is empty (0 bytes)")
    assert (first["model"], first["model_version"]) == ("v2", "sha256:00")
    assert table.schema.metadata[b"featherface.schema"] == str(SCHEMA_VERSION).encode()
    assert table.schema.metadata[b"featherface.options"] == b'{"score": 0.5}'


def test_every_column_is_described_in_the_docstring() -> None:
    import ffcore.jobs.table

    head = (ffcore.jobs.table.__doc__ or "").split("=\n")
    assert all(any(name in part for part in head) for name in SCHEMA.names)


def test_equal_rows_give_equal_bytes() -> None:
    written = [row(i, i) for i in range(4)]
    assert parquet_bytes(faces_table(written, **MODEL)) == parquet_bytes(faces_table(written, **MODEL))


def test_a_name_that_is_no_text_still_gets_a_row() -> None:
    odd = replace(row(0), uri="photos/\udcff.jpg")
    assert faces_table([odd], **MODEL).to_pylist()[0]["uri"] == "photos/\\udcff.jpg"


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("is truncated: the end of the JPEG is missing", "is truncated"),
        ("has 90000 × 70000 pixels, more than the limit of 200 megapixels", "has N × N pixels"),
        ("is empty (0 bytes)", "is empty"),
        ("does not exist", "does not exist"),
    ],
)
def test_errors_are_counted_by_what_they_have_in_common(reason: str, kind: str) -> None:
    assert error_kind(reason) == kind
    assert totals_of([row(0), row(1, error=reason), row(2, error=reason)]).errors == {kind: 2}


def test_photos_that_were_searched_smaller_are_counted() -> None:
    assert totals_of([row(0), replace(row(1), size=(64, 48, 64, 48))]).shrunk == 1


def test_a_row_becomes_the_result_type_of_all_formats() -> None:
    result = image_faces(row(3, 2))
    assert (result.image, result.width, result.height, len(result.faces)) == (
        "s3://bucket/3.jpg",
        640,
        480,
        2,
    )


def test_other_files_and_other_versions_are_refused_in_one_line(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    newer = faces_table([row(0)], **MODEL).replace_schema_metadata({"featherface.schema": "99"})
    pq.write_table(newer, tmp_path / "newer.parquet")
    (tmp_path / "broken.parquet").write_bytes(b"nothing")
    for name, message in (("other", "no table of faces"), ("newer", "schema 99"), ("broken", "as Parquet")):
        path = tmp_path / f"{name}.parquet"
        with path.open("rb") as file, pytest.raises(InputError, match=message) as caught:
            list(read_rows(file, str(path)))
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
