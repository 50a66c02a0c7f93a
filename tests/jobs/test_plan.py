from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ffcore.errors import InputError
from ffcore.jobs.model_file import ModelFile
from ffcore.jobs.plan import PLAN_NAME, Plan, part_name, start_or_go_on
from ffcore.jobs.storage import Folder
from tests.jobs.in_process import plan_of
from tests.jobs.sources import one_jpeg, tar_shards


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return plan_of([tar_shards(tmp_path / "in", shards=3, photos=1)])


def test_a_second_run_finds_what_is_complete(plan: Plan, tmp_path: Path) -> None:
    folder = Folder(tmp_path / "out")
    assert start_or_go_on(plan, folder) == []
    folder.write(part_name(1), b"")
    assert start_or_go_on(plan, folder) == [1]


def test_only_the_model_and_the_settings_and_the_source_make_a_job_another_one(
    plan: Plan, tmp_path: Path
) -> None:
    folder = Folder(tmp_path / "out")
    start_or_go_on(plan, folder)
    other = ModelFile("v2", ".onnx", plan.model.content + b" ")
    changed = {
        "model sha256:": replace(plan, model=other),
        f"score = {plan.options.score} there, 0.25 here": replace(
            plan, options=replace(plan.options, score=0.25)
        ),
        "anonymize = None there, solid here": replace(plan, anonymize="solid"),
        "3 shards there, 2 here": replace(plan, shards=plan.shards[:2]),
        "shard 0 was": replace(plan, shards=plan.shards[::-1]),
    }
    for message, another in changed.items():
        with pytest.raises(InputError, match=message) as caught:
            start_or_go_on(another, folder)
        assert "\n" not in str(caught.value)
    assert start_or_go_on(replace(plan, model=replace(plan.model, name="other name")), folder) == []


def test_a_side_and_the_pair_of_it_are_the_same_setting(plan: Plan, tmp_path: Path) -> None:
    folder = Folder(tmp_path / "out")
    start_or_go_on(replace(plan, options=replace(plan.options, size=320)), folder)
    assert start_or_go_on(replace(plan, options=replace(plan.options, size=(320, 320))), folder) == []


def test_a_tar_file_that_was_replaced_is_another_source(plan: Plan, tmp_path: Path) -> None:
    folder = Folder(tmp_path / "out")
    start_or_go_on(plan, folder)
    tar_shards(tmp_path / "in", shards=1, photos=2)
    with pytest.raises(InputError, match="shard 0 was"):
        start_or_go_on(plan_of([tmp_path / "in"]), folder)


def test_a_folder_with_other_files_is_left_alone(plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("precious", encoding="utf-8")
    with pytest.raises(InputError, match="no folder of results"):
        start_or_go_on(plan, Folder(tmp_path / "out"))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.txt"]


def test_a_damaged_plan_is_no_plan(plan: Plan, tmp_path: Path) -> None:
    folder = Folder(tmp_path / "out")
    folder.write(PLAN_NAME, b'{"half')
    with pytest.raises(InputError, match="is damaged"):
        start_or_go_on(plan, folder)


def test_the_number_of_photos_is_known_where_nothing_must_be_read_for_it(plan: Plan, tmp_path: Path) -> None:
    assert plan.photos is None
    (tmp_path / "a.jpg").write_bytes(one_jpeg(32))
    assert plan_of([tmp_path / "a.jpg"]).photos == 1


def test_the_plan_is_json_with_everything_that_results_depend_on(plan: Plan, tmp_path: Path) -> None:
    start_or_go_on(plan, Folder(tmp_path / "out"))
    written = json.loads((tmp_path / "out" / PLAN_NAME).read_text(encoding="utf-8"))
    assert written["model"] == f"sha256:{plan.model.sha256}"
    assert written["options"]["max_side"] == 2048
    assert len(written["shards"]) == 3
