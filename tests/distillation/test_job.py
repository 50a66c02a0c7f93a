from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ffcore import VARIANTS, build_network, load_network, save_network
from ffcore.config.layers import Layer
from ffcore.distillation.job import TeacherScored, distill
from ffcore.distillation.run_config import DistillationRunConfig, resolve_distillation
from ffcore.errors import CheckpointError, ConfigError, ModelError
from ffcore.events import Event
from ffcore.models.weights import read_checkpoint
from ffcore.training.events import EpochStarted, StepDone
from ffcore.training.job import train
from ffcore.training.run_config import preset
from ffcore.training.run_folder import RunFolder
from tests.models.random_weights import random_network
from tests.training.test_job import InterruptedRunError, at_step, same, vanish
from tests.training.toy_data import SIDE, toy_config, write_photos


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def teacher(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teacher") / "run"
    config = toy_config(data, model__name="v1", train__epochs=1, train__warmup=0, validation__ap=False)
    train(config, folder, device="cpu")
    return folder / "last.safetensors"


def settings(data: Path, teacher: Path, **values: object) -> DistillationRunConfig:
    chosen: dict[str, object] = {
        "data.path": str(data),
        "data.batch_size": 3,
        "data.workers": 0,
        "data.holdout": 0.25,
        "augment.sizes": [SIDE],
        "validation.size": SIDE,
        "train.epochs": 2,
        "teacher.weights": str(teacher),
    }
    chosen |= {name.replace("__", "."): value for name, value in values.items()}
    return resolve_distillation([preset("v2"), Layer("test", chosen)]).config


@pytest.mark.parametrize("feature_weight", [0.1, 0.0])
def test_a_student_begins_with_the_backbone_of_its_teacher_and_leaves_weights_without_adapters(
    data: Path, teacher: Path, tmp_path: Path, feature_weight: float
) -> None:
    events: list[Event] = []
    config = settings(
        data, teacher, distillation__feature_weight=feature_weight, train__rate=1e-12, train__epochs=1
    )
    result = distill(config, tmp_path / "run", device="cpu", on_event=events.append)
    assert isinstance(events[0], TeacherScored)
    assert events[0].name == "v1"
    steps = [event for event in events if isinstance(event, StepDone)]
    assert {"task", "distill", "distill_classification"} <= set(steps[0].report.terms)
    assert ("feature" in steps[0].report.terms) == bool(feature_weight)
    assert {"alpha", "agreement"} == set(steps[0].report.measures)
    assert result.weights is not None
    student = load_network(result.weights)
    assert student.config == VARIANTS["v2"]
    given = load_network(teacher).backbone.state_dict()
    for key, value in student.backbone.named_parameters():
        torch.testing.assert_close(value, given[key], atol=1e-8, rtol=0)
    assert read_checkpoint(result.weights).facts["teacher"] == "v1 (last.safetensors)"


@pytest.mark.reference
def test_a_yunet_of_small_faces_is_heard_and_named(
    data: Path, teacher: Path, tmp_path: Path, reference: Path
) -> None:
    yunet = reference / "peers" / "yunet_n_dynamic.onnx"
    losses: list[Mapping[str, float]] = []
    for file in ("", str(yunet)):
        events: list[Event] = []
        config = settings(
            data,
            teacher,
            teacher__small_faces=file,
            distillation__feature_weight=0.0,
            train__epochs=1,
        )
        result = distill(config, tmp_path / f"run{len(losses)}", device="cpu", on_event=events.append)
        first = next(event for event in events if isinstance(event, StepDone))
        losses.append(first.report.terms)
    assert losses[0]["distill_classification"] != losses[1]["distill_classification"]
    assert result.weights is not None
    facts = read_checkpoint(result.weights).facts
    assert facts["teacher"] == "v1 (last.safetensors), YuNet of small faces (yunet_n_dynamic.onnx)"
    assert facts["teacher_sha256"].count(", ") == 1


def test_a_yunet_that_is_not_there_ends_a_run_before_it_begins(
    data: Path, teacher: Path, tmp_path: Path
) -> None:
    config = settings(data, teacher, teacher__small_faces=str(tmp_path / "yunet.onnx"))
    with pytest.raises(CheckpointError, match=r"yunet\.onnx"):
        distill(config, tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


def test_alpha_goes_over_other_epochs_where_that_is_said(data: Path, teacher: Path) -> None:
    assert settings(data, teacher, distillation__alpha__epochs=7).distillation.alpha.epochs == 7


def test_alpha_goes_over_the_epochs_of_the_training(data: Path, teacher: Path, tmp_path: Path) -> None:
    events: list[Event] = []
    config = settings(data, teacher, distillation__alpha__kind="linear", validation__ap=False)
    assert config.distillation.alpha.epochs == 2
    distill(config, tmp_path / "run", device="cpu", on_event=events.append)
    alphas = [event.settings["alpha"] for event in events if isinstance(event, EpochStarted)]
    assert alphas == pytest.approx([0.8, 0.65])
    record = [line for line in RunFolder(tmp_path / "run").read_record() if line["kind"] == "step"]
    assert [line["alpha"] for line in record] == pytest.approx([0.8, 0.8, 0.65, 0.65])


def test_a_distillation_that_died_ends_as_if_undisturbed(data: Path, teacher: Path, tmp_path: Path) -> None:
    config = settings(data, teacher, validation__ap=False, safety__save_minutes=1e-9)
    distill(config, tmp_path / "whole", device="cpu")
    with pytest.raises(InterruptedRunError):
        distill(config, tmp_path / "run", device="cpu", on_event=at_step(3, vanish))
    assert distill(config, tmp_path / "run", resume=True, device="cpu").ending == "finished"
    assert same(tmp_path / "whole" / "last.safetensors", tmp_path / "run" / "last.safetensors")


def test_teachers_in_turns_go_on_with_the_one_whose_turn_it_was(
    data: Path, teacher: Path, tmp_path: Path
) -> None:
    save_network(random_network(VARIANTS["v2"]), tmp_path / "other.safetensors")
    config = settings(
        data,
        teacher,
        teacher__weights=[str(teacher), str(tmp_path / "other.safetensors")],
        teacher__together="turns",
        distillation__feature_weight=0.0,
        validation__ap=False,
        safety__save_minutes=1e-9,
    )
    distill(config, tmp_path / "whole", device="cpu")
    with pytest.raises(InterruptedRunError):
        distill(config, tmp_path / "run", device="cpu", on_event=at_step(3, vanish))
    distill(config, tmp_path / "run", resume=True, device="cpu")
    assert same(tmp_path / "whole" / "last.safetensors", tmp_path / "run" / "last.safetensors")
    both = replace(config, teacher=replace(config.teacher, together="mean"))
    distill(both, tmp_path / "both", device="cpu")
    assert not same(tmp_path / "whole" / "last.safetensors", tmp_path / "both" / "last.safetensors")


def test_teachers_in_turns_have_no_features_to_match(data: Path, teacher: Path) -> None:
    with pytest.raises(ConfigError, match=r"feature_weight = 0 is needed"):
        settings(data, teacher, teacher__together="turns")
    with pytest.raises(ConfigError, match=r"did you mean 'turns'"):
        settings(data, teacher, teacher__together="turn")


def test_what_a_training_refuses_a_distillation_refuses_too(data: Path, teacher: Path) -> None:
    with pytest.raises(ConfigError, match=r"seed = -1"):
        settings(data, teacher, seed=-1)


def test_a_teacher_must_be_named_and_must_have_learnt_something(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no teacher is named"):
        distill(resolve_distillation([preset("v2")]).config, tmp_path / "run")
    save_network(build_network(VARIANTS["v1"]), tmp_path / "fresh.safetensors")
    with pytest.raises(ModelError, match="the teacher v1 is not trained"):
        distill(settings(data, tmp_path / "fresh.safetensors"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_best_student_fits_the_labels_best_whenever_its_teacher_began_to_speak(
    data: Path, teacher: Path, tmp_path: Path
) -> None:
    config = settings(data, teacher, train__epochs=3, distillation__start_epoch=2, validation__ap=False)
    distill(config, tmp_path / "run", device="cpu")
    looks = [line for line in RunFolder(tmp_path / "run").read_record() if line["kind"] == "validation"]
    tasks, totals = ([look["loss"][name] for look in looks] for name in ("task", "total"))
    # with the teacher the total is of another scale, and a comparison by it would be one of both scales
    assert totals[2] < 0.7 * min(totals[:2])
    assert totals[:2] == tasks[:2]
    better = [task < min(tasks[:i], default=math.inf) for i, task in enumerate(tasks)]
    assert [look["best"] for look in looks] == better
