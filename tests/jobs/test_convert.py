from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ffcore.errors import InputError
from ffcore.events import Event, Failed
from ffcore.faces import Faces
from ffcore.images import read_image
from ffcore.jobs.convert import table_rows, write_coco_of, write_crops_of
from ffcore.jobs.plan import SUCCESS_NAME
from ffcore.jobs.table import image_faces
from ffcore.results import coco_document
from tests.jobs.in_process import plan_of, run_here
from tests.jobs.sources import one_jpeg, tar_shards, write_tar


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("job")
    run_here(plan_of([tar_shards(folder / "in", shards=2, photos=8, broken=8)]), folder / "out")
    return folder / "out"


def test_the_coco_document_is_that_of_the_same_faces(table: Path, tmp_path: Path) -> None:
    seen: list[Event] = []
    images = write_coco_of(table, tmp_path / "faces.json", on_event=seen.append)
    document = json.loads((tmp_path / "faces.json").read_text(encoding="utf-8"))
    assert document == coco_document(image_faces(row) for row in table_rows(table) if not row.error)
    assert images == len(document["images"]) == 14
    assert len(document["annotations"]) > 0
    assert [type(event) for event in seen] == [Failed, Failed]
    assert [path.name for path in tmp_path.iterdir()] == ["faces.json"]


def test_crops_are_the_faces_of_the_table(table: Path, tmp_path: Path) -> None:
    count = write_crops_of(table, tmp_path)
    crops = sorted(tmp_path.rglob("*.png"))
    assert count == len(crops) == sum(len(row.faces) for row in table_rows(table))
    assert {crop.parent.name for crop in crops} == {"part-000000", "part-000001"}
    assert all(read_image(crop).shape == (112, 112, 3) for crop in crops)


def test_crops_of_photos_that_climb_stay_in_their_folder(tmp_path: Path) -> None:
    write_tar(tmp_path / "in" / "a.tar", [("../../../climb.jpg", one_jpeg())])
    run_here(plan_of([tmp_path / "in"]), tmp_path / "out")
    assert write_crops_of(tmp_path / "out", tmp_path / "deep" / "crops") == 1
    crops = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png")]
    assert crops == ["deep/crops/part-000000/000000-climb.jpg-000.png"]


def test_a_source_that_changed_since_gives_no_crops(tmp_path: Path) -> None:
    source = tar_shards(tmp_path / "in", shards=1, photos=2)
    run_here(plan_of([source]), tmp_path / "out")
    tar_shards(source, shards=1, photos=3)
    with pytest.raises(InputError, match="changed since"):
        write_crops_of(tmp_path / "out", tmp_path / "crops")


def test_an_unfinished_job_and_another_folder_are_refused(table: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder of results"):
        write_coco_of(tmp_path, tmp_path / "faces.json")
    source = tar_shards(tmp_path / "in", shards=1, photos=1)
    run_here(plan_of([source]), tmp_path / "out")
    (tmp_path / "out" / SUCCESS_NAME).unlink()
    with pytest.raises(InputError, match="not finished"):
        write_coco_of(tmp_path / "out", tmp_path / "faces.json")
    assert not (tmp_path / "faces.json").exists()


def test_rows_come_in_the_order_of_the_sources(table: Path) -> None:
    rows = list(table_rows(table))
    assert [row.index for row in rows] == [*range(8), *range(8)]
    assert rows[0].uri.endswith("shard-0000.tar#000000.jpg")
    assert rows[7].error.startswith("is truncated")
    assert isinstance(rows[0].faces, Faces)
    assert rows[0].faces.boxes.dtype == np.float32
