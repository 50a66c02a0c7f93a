from __future__ import annotations

import functools
import io

import numpy as np
import pytest
import torch
from torch import Tensor

from ffcore.config import NetworkConfig
from ffcore.data import LabelledFaces, Sample
from ffcore.data.collate import Batch, collate
from ffcore.errors import ConfigError
from ffcore.models.featherface import FeatherFace, build_network
from ffcore.models.variants import VARIANTS
from ffcore.training.config import OptimizerKind, TrainConfig
from ffcore.training.health import DivergedError
from ffcore.training.objective import DetectionObjective, ForwardConfig
from ffcore.training.trainer import Trainer

SIDE = 96


def network(config: NetworkConfig = VARIANTS["v2"]) -> FeatherFace:
    torch.manual_seed(0)
    return build_network(config)


def objective(config: ForwardConfig | None = None) -> DetectionObjective:
    return DetectionObjective(network(), config=config)


def batch(seed: int, count: int = 4) -> Batch:
    """Dark photos with a bright square each, which is the face."""
    random = np.random.default_rng(seed)
    samples = []
    for number in range(count):
        image = random.integers(0, 60, (SIDE, SIDE, 3), dtype=np.uint8)
        x, y, side = (int(value) for value in random.integers(8, 40, 3))
        image[y : y + side, x : x + side] = 220
        centre = np.full((1, 5, 2), (x + side / 2, y + side / 2), np.float32)
        faces = LabelledFaces(
            boxes=np.array([[x, y, x + side, y + side]], np.float32),
            landmarks=centre,
            has_landmarks=np.array([True]),
            ignore=np.array([False]),
            weights=np.ones(1, np.float32),
        )
        samples.append(Sample(image=image, faces=faces, names=(f"{number}.jpg",)))
    return collate(samples)


def weights_of(trainer: Trainer) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in trainer.network.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("name", ["v1", "v2", "v2-ca"])
def test_the_loss_falls_on_a_batch_that_is_seen_again_and_again(name: str) -> None:
    trainer = Trainer(
        DetectionObjective(network(VARIANTS[name])), TrainConfig(epochs=20, rate=3e-3), batches_per_epoch=1
    )
    again = batch(0)
    totals = [trainer.train_batch(again).terms["total"] for _ in range(20)]
    assert totals[-1] < 0.7 * totals[0]


def test_the_loss_falls_with_the_other_optimizer_too() -> None:
    config = TrainConfig(epochs=30, rate=3e-3, optimizer="soap")
    trainer = Trainer(objective(), config, batches_per_epoch=1)
    again = batch(0)
    totals = [trainer.train_batch(again).terms["total"] for _ in range(30)]
    assert totals[-1] < 0.7 * totals[0]


@pytest.mark.parametrize("optimizer", ["adamw", "soap"])
def test_a_resumed_training_equals_an_undisturbed_one_to_the_bit(optimizer: OptimizerKind) -> None:
    config = TrainConfig(epochs=3, ema=0.9, optimizer=optimizer)
    whole = Trainer(objective(), config, batches_per_epoch=2)
    first = Trainer(objective(), config, batches_per_epoch=2)
    for i in range(6):
        whole.train_batch(batch(i))
        if i < 3:
            first.train_batch(batch(i))
    file = io.BytesIO()
    torch.save(first.state(), file)
    file.seek(0)
    torch.manual_seed(1)
    second = Trainer(DetectionObjective(build_network(VARIANTS["v2"])), config, batches_per_epoch=2)
    second.restore(torch.load(file, weights_only=True))
    for i in range(3, 6):
        second.train_batch(batch(i))
    assert same(weights_of(whole), weights_of(second))
    assert whole.average is not None
    assert second.average is not None
    with whole.average.applied(), second.average.applied():
        assert same(weights_of(whole), weights_of(second))


def test_gradients_of_two_batches_add_up_to_one_step() -> None:
    trainer = Trainer(objective(), TrainConfig(epochs=2, accumulate=2, clip=0), batches_per_epoch=4)
    before = weights_of(trainer)
    first = trainer.train_batch(batch(0))
    assert first.gradient_norm is None
    parameters = dict(trainer.network.named_parameters())
    assert all(torch.equal(before[key], value) for key, value in parameters.items())
    second = trainer.train_batch(batch(1))
    assert second.gradient_norm is not None
    assert not all(torch.equal(before[key], value) for key, value in parameters.items())


def test_an_epoch_that_is_no_multiple_ends_with_an_update_of_its_own_weight() -> None:
    config = TrainConfig(epochs=3, accumulate=4, clip=0, schedule="trapezoid", warmup=0)
    trainer = Trainer(objective(), config, batches_per_epoch=5)
    alone = Trainer(objective(), TrainConfig(epochs=3, clip=0), batches_per_epoch=5)
    reports = [trainer.train_batch(batch(i)) for i in range(15)]
    norms = [report.gradient_norm is not None for report in reports]
    assert norms == [False, False, False, True, True] * 3
    rates = [report.rate for report in reports if report.gradient_norm is not None]
    assert rates == [config.rate_at(update, steps_per_epoch=2) for update in range(6)]
    assert all(rate > 0 for rate in rates[:-1])  # it ends with the last update, and not before
    # one batch alone weighs as much as one without any accumulation
    alone.network.load_state_dict(objective().network.state_dict())
    single = Trainer(objective(), config, batches_per_epoch=1).train_batch(batch(0))
    assert single.gradient_norm == pytest.approx(alone.train_batch(batch(0)).gradient_norm)


def test_a_batch_that_is_added_up_counts_with_its_share() -> None:
    gradients = []
    for accumulate in (1, 2):
        module = network()
        trainer = Trainer(
            DetectionObjective(module),
            TrainConfig(epochs=1, accumulate=accumulate, clip=0, rate=1e-30),
            batches_per_epoch=2,
        )
        trainer._optimizer.zero_grad = lambda: None  # type: ignore[method-assign, assignment, misc]
        trainer.train_batch(batch(0))
        gradients.append({key: value.grad for key, value in module.named_parameters()})
    for key, whole in gradients[0].items():
        torch.testing.assert_close(gradients[1][key], whole / 2)


def test_large_gradients_are_clipped_and_reported() -> None:
    module = network()
    trainer = Trainer(DetectionObjective(module), TrainConfig(epochs=1, clip=1e-3), batches_per_epoch=1)
    seen: list[float] = []
    step = trainer._optimizer.step

    def record() -> None:
        gradients = [value.grad for value in module.parameters() if value.grad is not None]
        seen.append(float(torch.nn.utils.get_total_norm(gradients)))
        step()

    trainer._optimizer.step = record  # type: ignore[method-assign, assignment]
    report = trainer.train_batch(batch(0))
    assert report.gradient_norm is not None
    assert report.gradient_norm > 1e-3
    assert seen[0] == pytest.approx(1e-3, rel=1e-4)


def test_a_loss_that_is_no_number_stops_names_the_photos_and_leaves_the_weights() -> None:
    trainer = Trainer(objective(), TrainConfig(epochs=1), batches_per_epoch=1)
    with torch.no_grad():
        trainer.network.heads[0].boxes.bias.fill_(float("nan"))  # type: ignore[index, union-attr]
    before = {key: value.clone() for key, value in trainer.network.named_parameters()}
    with pytest.raises(DivergedError, match=r"step 0: .* on 0\.jpg, 1\.jpg") as caught:
        trainer.train_batch(batch(0))
    assert "box nan" in str(caught.value)
    after = dict(trainer.network.named_parameters())
    assert all(torch.equal(value.nan_to_num(), after[key].nan_to_num()) for key, value in before.items())
    assert trainer.step == 0


def test_mixed_precision_trains_too() -> None:
    module = DetectionObjective(network(VARIANTS["v1"]), config=ForwardConfig(amp=True))
    trainer = Trainer(module, TrainConfig(epochs=8, rate=3e-3), batches_per_epoch=1)
    again = batch(0)
    totals = [trainer.train_batch(again).terms["total"] for _ in range(8)]
    assert totals[-1] < totals[0]


def test_the_rate_follows_the_schedule() -> None:
    trainer = Trainer(objective(), TrainConfig(epochs=4, schedule="cosine", warmup=2), batches_per_epoch=1)
    rates = [trainer.train_batch(batch(0)).rate for _ in range(4)]
    assert rates[:3] == pytest.approx([5e-4, 1e-3, 1e-3])
    assert rates[3] < rates[2]


def test_activations_computed_again_give_the_same_training_to_the_bit() -> None:
    weights = []
    for recompute in (False, True):
        trainer = Trainer(
            objective(ForwardConfig(recompute=recompute)), TrainConfig(epochs=4), batches_per_epoch=1
        )
        for i in range(3):
            trainer.train_batch(batch(i))
        weights.append(weights_of(trainer))
    assert same(*weights)  # running statistics and counters among them


def test_a_compiled_network_trains_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    # traced as ever, but run by torch itself: making machine code takes minutes and is torch's to test
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))
    reports = []
    for compiled in (False, True):
        trainer = Trainer(
            objective(ForwardConfig(compile=compiled)), TrainConfig(epochs=4), batches_per_epoch=1
        )
        reports.append([trainer.train_batch(batch(i)).terms["total"] for i in range(2)])
    assert reports[0] == pytest.approx(reports[1], rel=1e-5)


def test_patches_are_left_out_in_training_and_never_in_use() -> None:
    dropping, plain = objective(ForwardConfig(dropblock=0.3)), objective()
    torch.manual_seed(1)
    with torch.no_grad():
        for mode, alike in ((False, True), (True, False)):
            totals = [float(module.train(mode)(batch(0)).terms["total"]) for module in (dropping, plain)]
            assert (totals[0] == totals[1]) is alike


def test_held_statistics_stay_and_weights_do_not() -> None:
    trainer = Trainer(objective(), TrainConfig(epochs=2, frozen_norm=True), batches_per_epoch=1)
    before = weights_of(trainer)
    trainer.train_batch(batch(0))
    after = weights_of(trainer)
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert changed
    assert not any("running" in key or "tracked" in key for key in changed)


@pytest.mark.parametrize("stages", [1, 2, 3])
@pytest.mark.parametrize("recompute", [False, True])
def test_frozen_stages_stay_and_everything_else_learns(stages: int, recompute: bool) -> None:
    settings = TrainConfig(epochs=2, frozen_stages=stages, ema=0.9)
    trainer = Trainer(objective(ForwardConfig(recompute=recompute)), settings, batches_per_epoch=1)
    before = weights_of(trainer)
    trainer.train_batch(batch(0))
    after = weights_of(trainer)
    assert trainer.average is not None
    with trainer.average.applied():
        averaged = weights_of(trainer)
    frozen = tuple(f"backbone.stage{number}." for number in range(1, stages + 1))
    for key in before:
        assert torch.equal(before[key], after[key]) == key.startswith(frozen), key
        assert torch.equal(before[key], averaged[key]) == key.startswith(frozen), key


def test_a_factor_lowers_every_rate_and_is_part_of_the_state() -> None:
    trainer = Trainer(objective(), TrainConfig(epochs=4), batches_per_epoch=1)
    plain = trainer.config.rate_at(0, steps_per_epoch=1)
    trainer.rate_factor = 0.5
    state = trainer.state()
    again = Trainer(objective(), TrainConfig(epochs=4), batches_per_epoch=1)
    again.restore(state)
    assert again.train_batch(batch(0)).rate == pytest.approx(plain / 2)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"schedule": "cosin"}, "did you mean 'cosine'"),
        ({"epochs": 0}, "epochs = 0"),
        ({"rate": 0.0}, "rate = 0"),
        ({"ema": 1.0}, "ema = 1"),
        ({"frozen_stages": 4}, "frozen_stages = 4: the backbone has 3"),
        ({"frozen_stages": -1}, "frozen_stages = -1"),
        ({"schedule": "cosine", "epochs": 3}, "warmup = 5"),
    ],
)
def test_impossible_settings_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TrainConfig(**values)  # type: ignore[arg-type]
