from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ffcore.data.collate import Batch
from ffcore.distillation.alpha import AlphaConfig, AlphaSchedule
from ffcore.distillation.config import DistillationConfig
from ffcore.distillation.losses import distillation_losses
from ffcore.distillation.objective import DistillationObjective
from ffcore.distillation.teacher import Lesson, OnnxTeacher, TorchTeacher
from ffcore.errors import ConfigError
from ffcore.losses import AnchorGrid, MultiBoxConfig, match_anchors
from ffcore.models.blocks.heads import RawOutputs
from ffcore.models.variants import VARIANTS
from ffcore.models.weights import read_checkpoint, save_network
from ffcore.training.config import TrainConfig
from ffcore.training.objective import DetectionObjective, ForwardConfig
from ffcore.training.trainer import Trainer
from tests.distillation.toys import student, trained
from tests.training.test_trainer import SIDE, batch

CONSTANT = AlphaConfig(kind="constant", constant=0.7)
TASK = {"task", "box", "classification", "landmark"}
TAUGHT = {"distill", "distill_classification", "distill_box", "distill_landmark"}


def objective(*, config: ForwardConfig | None = None, **settings: Any) -> DistillationObjective:
    distillation = DistillationConfig(**{"alpha": CONSTANT, **settings})
    return DistillationObjective(
        student(), TorchTeacher(trained("v1")), distillation=distillation, config=config
    )


class Says:
    """A teacher with one answer."""

    gives_features = False

    def __init__(self, logits: Tensor) -> None:
        self.network = trained("v2")
        boxes, landmarks = (torch.zeros(*logits.shape[:2], k) for k in (4, 10))
        self.outputs = RawOutputs(boxes, logits, landmarks)
        self.asked = 0

    def __call__(self, pixels: Tensor, *, features: bool = False) -> Lesson:
        self.asked += 1
        return Lesson(self.outputs, None)


def logits_of(face: Tensor) -> Tensor:
    """(B, A, 2): certain faces where true, certain background elsewhere."""
    sure = torch.where(face, 10.0, -10.0)
    return torch.stack([-sure, sure], dim=-1)


def test_the_total_is_made_of_the_named_terms() -> None:
    one = objective(class_weight=2.0, box_weight=3.0, landmark_weight=0.5, feature_weight=0.2)
    terms = {name: float(value.detach()) for name, value in one(batch(0)).terms.items()}
    assert set(terms) == TASK | TAUGHT | {"feature", "total"}
    distill = 2 * terms["distill_classification"] + 3 * terms["distill_box"] + 0.5 * terms["distill_landmark"]
    assert terms["distill"] == pytest.approx(distill, rel=1e-5)
    total = 0.3 * terms["task"] + 0.7 * terms["distill"] + 0.2 * terms["feature"]
    assert terms["total"] == pytest.approx(total, rel=1e-5)
    task = 2 * terms["box"] + terms["classification"] + terms["landmark"]
    assert terms["task"] == pytest.approx(task, rel=1e-5)


@pytest.mark.parametrize("more", [0.0, 0.5])
def test_the_teacher_counts_an_anchor_as_the_labels_do_or_the_large_ones_more(more: float) -> None:
    """A teacher who sees one large and one small face, and a student who sees none."""
    importance = AnchorGrid.of(SIDE, SIDE).importance(1.0 + more)
    face = torch.zeros(len(batch(0).images), len(importance), dtype=torch.bool)
    face[:, [int(importance.argmax()), int(importance.argmin())]] = True
    settings = DistillationConfig(alpha=CONSTANT, normalize="focal", feature_weight=0, size_balance=more)
    one = DistillationObjective(
        trained("v2"),
        Says(logits_of(face)),
        loss=MultiBoxConfig(size_balance=1.0),
        distillation=settings,
    ).eval()
    with torch.no_grad():
        outcome = one(batch(0))
        own, _ = one.run(one.pixels(batch(0)))
    wanted = distillation_losses(
        own,
        RawOutputs(own.boxes * 0, logits_of(face), own.landmarks * 0),
        normalize="focal",
        importance=importance,
    )
    for name, value in wanted._asdict().items():
        assert float(outcome.terms[f"distill_{name}"]) == pytest.approx(float(value), rel=1e-5), name
    with torch.no_grad():
        alike = DetectionObjective(one.network).eval()(batch(0))
    assert float(outcome.terms["box"]) != pytest.approx(float(alike.terms["box"]))


def test_without_a_feature_weight_there_is_no_feature_term_and_no_adapter() -> None:
    one = objective(feature_weight=0.0)
    assert one.adapters is None
    assert set(one(batch(0)).terms) == TASK | TAUGHT | {"total"}


@pytest.mark.parametrize("config", [ForwardConfig(), ForwardConfig(recompute=True), ForwardConfig(amp=True)])
def test_gradients_reach_every_weight_of_student_and_adapters_and_none_of_the_teacher(
    config: ForwardConfig,
) -> None:
    one = objective(config=config)
    teacher = one._teacher
    before = {key: value.clone() for key, value in teacher.network.state_dict().items()}
    one.train()(batch(0)).terms["total"].backward()
    missing = [key for key, weight in one.named_parameters() if weight.grad is None]
    assert not missing
    assert one.adapters is not None
    assert all(weight.grad is not None and weight.grad.any() for weight in one.adapters.parameters())
    assert all(weight.grad is None for weight in teacher.network.parameters())
    assert not teacher.network.training
    assert all(torch.equal(before[key], value) for key, value in teacher.network.state_dict().items())


def test_a_student_equal_to_its_teacher_has_nothing_to_learn_from_it() -> None:
    network = trained("v2")
    for normalize in ("all", "foreground", "focal"):
        settings = DistillationConfig(alpha=CONSTANT, normalize=normalize)  # type: ignore[arg-type]
        one = DistillationObjective(network, TorchTeacher(network), distillation=settings).eval()
        outcome = one(batch(0))
        for name in (*TAUGHT, "feature"):
            assert abs(float(outcome.terms[name].detach())) < 1e-3, name
        assert float(outcome.measures["agreement"]) == 1.0


def test_the_teacher_is_in_neither_the_weights_nor_the_state() -> None:
    one = objective()
    own = set(one.network.state_dict())
    names = {key.removeprefix("network.") for key in one.state_dict() if key.startswith("network.")}
    assert names == own
    others = {key for key in one.state_dict() if not key.startswith("network.")}
    assert others == {
        "_extra_state",
        *(f"adapters.maps.{i}.{k}" for i in (3, 4, 5) for k in ("weight", "bias")),
    }


def test_adapters_learn_and_are_never_written_with_the_student(tmp_path: Path) -> None:
    one = objective()
    trainer = Trainer(one, TrainConfig(epochs=1, rate=1e-2), batches_per_epoch=1)
    assert one.adapters is not None
    before = [weight.detach().clone() for weight in one.adapters.parameters()]
    trainer.train_batch(batch(0))
    assert not any(map(torch.equal, before, one.adapters.parameters()))
    save_network(trainer.network, tmp_path / "student.safetensors")
    assert set(read_checkpoint(tmp_path / "student.safetensors").tensors) == set(student().state_dict())


def test_a_resumed_distillation_equals_an_undisturbed_one_to_the_bit() -> None:
    config = TrainConfig(epochs=2, ema=0.9)
    settings: dict[str, Any] = {"alpha": AlphaConfig(epochs=3), "normalize": "foreground"}

    def begin() -> Trainer:
        return Trainer(objective(**settings), config, batches_per_epoch=2)

    def go(trainer: Trainer, steps: range) -> None:
        for i in steps:
            if i % 2 == 0:
                trainer.objective.start_epoch(i // 2, loss=1.0 if i else None)
            trainer.train_batch(batch(i, count=2))

    whole, first, second = begin(), begin(), begin()
    go(whole, range(4))
    go(first, range(3))
    file = io.BytesIO()
    torch.save(first.state(), file)
    file.seek(0)
    second.restore(torch.load(file, weights_only=True))
    assert second.objective.alpha == first.objective.alpha  # type: ignore[comparison-overlap]
    go(second, range(3, 4))
    states = [trainer.objective.state_dict() for trainer in (whole, second)]
    assert states[0].pop("_extra_state") == states[1].pop("_extra_state")
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())


def test_alpha_follows_the_schedule_and_remembers_validations_across_a_restart() -> None:
    alpha = AlphaConfig(kind="dynamic", epochs=40)
    one, schedule = objective(alpha=alpha, feature_weight=0.0), AlphaSchedule(alpha)
    losses = [None, *[1.0] * 20]
    for epoch, loss in enumerate(losses):
        wanted = schedule.alpha(epoch, loss)
        assert one.start_epoch(epoch, loss=loss) == {"alpha": wanted}
        if epoch == 8:
            state = one.state_dict()
            one = objective(alpha=alpha, feature_weight=0.0)
            one.load_state_dict(state)
            assert one.alpha == wanted
    assert one.alpha < 0.8 - 0.3 * 20 / 40  # the plateau has been heeded
    with torch.no_grad():
        outcome = one(batch(0))
    terms = {name: float(value) for name, value in outcome.terms.items()}
    assert terms["total"] == pytest.approx((1 - wanted) * terms["task"] + wanted * terms["distill"], rel=1e-5)
    assert float(outcome.measures["alpha"]) == pytest.approx(wanted)


def test_the_first_epochs_belong_to_the_labels_and_do_not_ask_the_teacher() -> None:
    found = batch(0)
    teacher = Says(logits_of(torch.ones(4, len(AnchorGrid.of(SIDE, SIDE)), dtype=torch.bool)))
    settings = DistillationConfig(alpha=CONSTANT, feature_weight=0.0, start_epoch=2)
    one = DistillationObjective(student(), teacher, distillation=settings)
    for epoch in (0, 1):
        assert one.start_epoch(epoch, loss=None) == {"alpha": 0.0}
        outcome = one.train()(found)
        assert set(outcome.terms) == TASK | {"total"}
        assert outcome.terms["total"] == outcome.terms["task"]
    assert teacher.asked == 0
    plain = DetectionObjective(student()).train()(found).terms
    again = DistillationObjective(student(), teacher, distillation=settings).train()(found).terms
    assert all(torch.equal(again[name], value) for name, value in plain.items())
    assert one.start_epoch(2, loss=None) == {"alpha": 0.7}
    one(found)
    assert teacher.asked == 1


def test_adapters_take_part_in_the_first_epochs_too_so_that_processes_may_wait_for_them() -> None:
    one = objective(start_epoch=1)
    one.train()(batch(0)).terms["total"].backward()
    assert all(weight.grad is not None for weight in one.parameters())


def test_faces_that_the_labels_miss_are_no_background() -> None:
    found = batch(0)
    grid = AnchorGrid.of(SIDE, SIDE)
    positive = match_anchors(found.targets, grid).positive
    sees = ~positive & (torch.rand(positive.shape, generator=torch.Generator().manual_seed(0)) < 0.5)
    teacher = Says(logits_of(sees))

    def gradient(ignore: float) -> Tensor:
        settings = DistillationConfig(alpha=CONSTANT, feature_weight=0.0, teacher_ignore=ignore)
        one = DistillationObjective(student(), teacher, distillation=settings).eval()
        seen: list[Tensor] = []
        one.network.heads.register_forward_hook(
            lambda *a: seen.append(a[2].logits) or a[2].logits.retain_grad()
        )
        one(found).terms["task"].backward()
        assert seen[0].grad is not None
        return seen[0].grad.any(dim=-1)

    heeded, ignored = gradient(0.0), gradient(0.6)
    assert (heeded & sees).any()
    assert not (ignored & sees).any()
    assert (ignored & positive).any()
    assert (ignored & ~positive).any()  # other background took their place


def unlabelled(found: Batch) -> Batch:
    """The same pictures with nothing known about them."""
    nothing = replace(found.targets, is_face=torch.zeros_like(found.targets.is_face))
    nothing = replace(nothing, boxes=torch.zeros_like(nothing.boxes))
    return replace(found, targets=nothing, labelled=torch.zeros(len(found), dtype=torch.bool))


def test_unlabelled_photos_bring_the_teachers_terms_only() -> None:
    one = objective().eval()
    outcome = one(unlabelled(batch(0)))
    assert all(outcome.terms[name] == 0 for name in TASK)
    assert all(outcome.terms[name] > 0 for name in (*TAUGHT, "feature"))
    labelled = one(batch(0))
    for name in (*TAUGHT, "feature"):
        torch.testing.assert_close(outcome.terms[name], labelled.terms[name])


@pytest.mark.parametrize("normalize", ["foreground", "focal"])
def test_a_student_comes_to_agree_with_its_teacher(normalize: Any) -> None:
    teacher = TorchTeacher(trained("v2"))
    settings = DistillationConfig(alpha=AlphaConfig(kind="constant", constant=1.0), normalize=normalize)
    one = DistillationObjective(student(), teacher, distillation=settings)
    trainer = Trainer(one, TrainConfig(epochs=25, rate=1e-2), batches_per_epoch=1)
    again = unlabelled(batch(0, count=2))
    reports = [trainer.train_batch(again) for _ in range(25)]
    first, last = reports[0], reports[-1]
    assert last.measures["agreement"] > first.measures["agreement"] + 0.1
    for name in ("distill", "distill_classification", "distill_box", "feature"):
        assert last.terms[name] < 0.8 * first.terms[name], name


def test_a_teacher_in_onnx_teaches_the_same_and_cannot_show_features(onnx_file: Path) -> None:
    network = trained("v2")
    onnx = OnnxTeacher(network, onnx_file)
    with pytest.raises(ConfigError, match=r"feature_weight = 0\.1: this teacher gives no features"):
        DistillationObjective(student(), onnx)
    settings = DistillationConfig(feature_weight=0.0)
    found = batch(0)
    one, other = (
        DistillationObjective(student(VARIANTS["v2"]), teacher, distillation=settings).eval()(found).terms
        for teacher in (onnx, TorchTeacher(network))
    )
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], rtol=1e-4, atol=1e-4)
