from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ffcore import load_network
from ffcore.errors import ConfigError, InputError
from ffcore.events import Event, Failed
from ffcore.images import read_image
from ffcore.images.encode import encode_image
from ffcore.models.featherface import build_network
from ffcore.models.pruning import prune
from ffcore.models.variants import VARIANTS
from ffcore.models.weights import save_network
from ffcore.training import run_folder
from ffcore.training.events import RolledBack, RunStarted, Saved, StepDone, Validated
from ffcore.training.health import DivergedError
from ffcore.training.job import train
from ffcore.training.run_config import RunConfig
from ffcore.training.run_folder import CHECKPOINT, METRICS, RunFolder
from ffcore.training.trainer import Trainer
from tests.training.toy_data import toy_config, write_photos

ROOT = Path(__file__).parents[2]


class InterruptedRunError(Exception):
    """Stands for a process that is gone."""


def weights(path: Path) -> dict[str, Tensor]:
    return dict(load_network(path).state_dict())


def same(a: Path, b: Path) -> bool:
    first, second = weights(a), weights(b)
    return all(torch.equal(first[key], second[key]) for key in first)


def steps(path: Path) -> list[dict[str, Any]]:
    keep = ("step", "total", "gradient_norm", "rate")
    return [
        {key: line[key] for key in keep} for line in RunFolder(path).read_record() if line["kind"] == "step"
    ]


def validations(path: Path) -> list[dict[str, Any]]:
    return [line for line in RunFolder(path).read_record() if line["kind"] == "validation"]


def at_step(number: int, act: Callable[[], None]) -> Callable[[Event], None]:
    """A listener that does something once, after that step."""

    def listen(event: Event) -> None:
        if isinstance(event, StepDone) and event.report.step == number:
            act()

    return listen


def vanish() -> None:
    raise InterruptedRunError


def test_a_run_leaves_configuration_environment_record_and_weights(tmp_path: Path) -> None:
    events: list[Event] = []
    config = toy_config(write_photos(tmp_path / "data"))
    result = train(config, tmp_path / "run", device="cpu", on_event=events.append)
    assert result.ending == "finished"
    assert result.steps == 9  # 6 photos, 2 a batch, 3 epochs
    assert result.weights == tmp_path / "run" / "best.safetensors"
    assert RunFolder.open(tmp_path / "run", RunConfig())[1] == config
    about = json.loads((tmp_path / "run" / "environment.json").read_text(encoding="utf-8"))
    assert about["torch"] == torch.__version__
    record = RunFolder(tmp_path / "run").read_record()
    assert [line["step"] for line in record if line["kind"] == "step"] == list(range(9))
    looks = [line for line in record if line["kind"] == "validation"]
    assert [line["epoch"] for line in looks] == [0, 1, 2]
    assert {"total", "box", "classification", "landmark"} == set(looks[0]["loss"])
    assert "height>=10" in looks[0]["ap"]
    started = next(event for event in events if isinstance(event, RunStarted))
    assert (started.photos, started.held_back, started.batches) == (6, 2, 3)
    assert sum(isinstance(event, Validated) for event in events) == 3
    best = min(looks, key=lambda line: line["loss"]["total"])
    assert result.best is not None
    assert result.best.terms["total"] == pytest.approx(best["loss"]["total"], rel=1e-5)


def test_a_folder_in_use_is_never_overwritten(tmp_path: Path) -> None:
    config = toy_config(write_photos(tmp_path / "data"))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(InputError, match="holds something already; go on with it by --resume"):
        train(config, tmp_path / "run", device="cpu")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(("step", "workers"), [(2, 0), (3, 0), (4, 0), (4, 1), (8, 0)])
def test_a_run_that_died_after_any_step_ends_as_if_undisturbed(
    tmp_path: Path, step: int, workers: int
) -> None:
    data = write_photos(tmp_path / "data")
    config = toy_config(data, train__ema=0.9, data__workers=workers, safety__save_minutes=1e-9)
    train(config, tmp_path / "whole", device="cpu")
    with pytest.raises(InterruptedRunError):
        train(config, tmp_path / "run", device="cpu", on_event=at_step(step, vanish))
    with (tmp_path / "run" / METRICS).open("a", encoding="utf-8") as record:
        record.write('{"kind": "step", "st')  # what a killed process leaves
    result = train(config, tmp_path / "run", resume=True, device="cpu")
    assert result.ending == "finished"
    assert same(tmp_path / "whole" / "last.safetensors", tmp_path / "run" / "last.safetensors")
    assert same(tmp_path / "whole" / "best.safetensors", tmp_path / "run" / "best.safetensors")
    assert steps(tmp_path / "whole") == steps(tmp_path / "run")
    assert validations(tmp_path / "whole") == validations(tmp_path / "run")


@pytest.mark.parametrize("step", [3, 4])  # in the middle of what is added up, and behind it
@pytest.mark.parametrize("setting", ["train__accumulate=2", "forward__dropblock=0.1"])
def test_what_is_added_up_or_left_out_by_chance_survives_a_death_too(
    tmp_path: Path, step: int, setting: str
) -> None:
    name, value = setting.split("=")
    config = toy_config(
        write_photos(tmp_path / "data"), safety__save_minutes=1e-9, **{name: json.loads(value)}
    )
    train(config, tmp_path / "whole", device="cpu")
    with pytest.raises(InterruptedRunError):
        train(config, tmp_path / "run", device="cpu", on_event=at_step(step, vanish))
    train(config, tmp_path / "run", resume=True, device="cpu")
    assert same(tmp_path / "whole" / "last.safetensors", tmp_path / "run" / "last.safetensors")
    assert steps(tmp_path / "whole") == steps(tmp_path / "run")


def test_a_request_to_stop_waits_for_what_is_being_added_up(tmp_path: Path) -> None:
    config = toy_config(write_photos(tmp_path / "data"), train__accumulate=2)
    train(config, tmp_path / "whole", device="cpu")
    stop = at_step(3, lambda: os.kill(os.getpid(), signal.SIGINT))
    result = train(config, tmp_path / "run", device="cpu", on_event=stop)
    assert (result.ending, result.steps) == ("interrupted", 5)
    train(config, tmp_path / "run", resume=True, device="cpu")
    assert same(tmp_path / "whole" / "last.safetensors", tmp_path / "run" / "last.safetensors")


@pytest.mark.parametrize("step", [4, 5, 8])
def test_a_request_to_stop_saves_after_the_step_and_the_rest_can_be_resumed(
    tmp_path: Path, step: int
) -> None:
    config = toy_config(write_photos(tmp_path / "data"))
    train(config, tmp_path / "whole", device="cpu")
    before = signal.getsignal(signal.SIGINT)
    result = train(
        config,
        tmp_path / "run",
        device="cpu",
        on_event=at_step(step, lambda: os.kill(os.getpid(), signal.SIGINT)),
    )
    assert signal.getsignal(signal.SIGINT) is before
    assert result.ending == "interrupted"
    assert result.steps == step + 1
    assert train(config, tmp_path / "run", resume=True, device="cpu").ending == "finished"
    assert same(tmp_path / "whole" / "last.safetensors", tmp_path / "run" / "last.safetensors")
    assert validations(tmp_path / "whole") == validations(tmp_path / "run")


def test_a_finished_run_that_is_resumed_does_nothing_more(tmp_path: Path) -> None:
    config = toy_config(write_photos(tmp_path / "data"), train__epochs=1)
    train(config, tmp_path / "run", device="cpu")
    events: list[Event] = []
    result = train(config, tmp_path / "run", resume=True, device="cpu", on_event=events.append)
    assert result.ending == "finished"
    assert not any(isinstance(event, StepDone) for event in events)


def test_a_killed_process_ends_as_if_undisturbed_after_resuming(tmp_path: Path) -> None:
    data = write_photos(tmp_path / "data")
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from ffcore.training.job import train\n"
        "from tests.training.toy_data import toy_config\n"
        "from tests.training.test_job import at_step\n"
        "config = toy_config(Path(sys.argv[1]), safety__save_minutes=1e-9)\n"
        "die = at_step(5, lambda: os.kill(os.getpid(), signal.SIGKILL))\n"
        "train(config, sys.argv[2], device='cpu', on_event=die)"
    )
    done = subprocess.run([sys.executable, "-c", code, data, tmp_path / "run"], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    config = toy_config(data, safety__save_minutes=1e-9)
    train(config, tmp_path / "run", resume=True, device="cpu")
    train(config, tmp_path / "whole", device="cpu")
    assert same(tmp_path / "whole" / "last.safetensors", tmp_path / "run" / "last.safetensors")


def test_a_full_disk_is_one_line_and_the_earlier_checkpoint_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = toy_config(write_photos(tmp_path / "data"), safety__save_minutes=1e-9)
    save = torch.save
    saved: list[bytes] = []

    def full(state: object, path: Path) -> None:
        if saved:
            path.write_bytes(b"half of")
            raise RuntimeError("[enforce fail at inline_container.cc] . unexpected pos 64 vs 0")
        save(state, path)
        saved.append(path.read_bytes())

    monkeypatch.setattr(run_folder.torch, "save", full)
    with pytest.raises(InputError, match="cannot be written") as caught:
        train(config, tmp_path / "run", device="cpu")
    assert "\n" not in str(caught.value)
    assert (tmp_path / "run" / CHECKPOINT).read_bytes() == saved[0]
    assert not list((tmp_path / "run").glob("*.partial*"))


def test_a_training_that_fails_leaves_arithmetic_as_it_was(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        train(toy_config(tmp_path / "nowhere"), tmp_path / "run", device="cpu")
    assert sys.float_info.min / 2 > 0


def test_settings_of_a_resumed_run_must_be_those_it_began_with(tmp_path: Path) -> None:
    data = write_photos(tmp_path / "data")
    train(toy_config(data, train__epochs=1), tmp_path / "run", device="cpu")
    with pytest.raises(ConfigError, match="begun with other settings"):
        train(toy_config(data, train__epochs=2), tmp_path / "run", resume=True, device="cpu")
    with pytest.raises(InputError, match="is no folder of a training run"):
        train(toy_config(data), tmp_path / "data", resume=True, device="cpu")


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    config = toy_config(write_photos(tmp_path / "data"), train__epochs=1)
    train(config, tmp_path / "run", device="cpu")
    content = (tmp_path / "run" / CHECKPOINT).read_bytes()
    (tmp_path / "run" / CHECKPOINT).write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"last\.checkpoint: is damaged"):
        train(config, tmp_path / "run", resume=True, device="cpu")


def poison(monkeypatch: pytest.MonkeyPatch, *, steps: set[int], above: float = 0.0) -> None:
    """Makes the loss of some steps no number, as long as the rate is above a value."""
    take = Trainer.train_batch

    def poisoned(self: Trainer, batch: Any) -> Any:
        if self.step in steps and self.rate_factor > above:
            raise DivergedError(
                self.step, terms={"total": float("nan")}, gradient_norm=None, images=["a.jpg"]
            )
        return take(self, batch)

    monkeypatch.setattr(Trainer, "train_batch", poisoned)


def test_a_loss_that_is_no_number_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    poison(monkeypatch, steps={4})
    with pytest.raises(DivergedError, match=r"step 4.*total nan.*on a\.jpg"):
        train(toy_config(write_photos(tmp_path / "data")), tmp_path / "run", device="cpu")


def test_it_goes_back_to_the_last_good_state_with_a_lower_rate_where_that_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(monkeypatch, steps={4}, above=0.3)
    events: list[Event] = []
    config = toy_config(write_photos(tmp_path / "data"), safety__on_nan="rollback")
    result = train(config, tmp_path / "run", device="cpu", on_event=events.append)
    assert result.ending == "finished"
    back = [event for event in events if isinstance(event, RolledBack)]
    assert [(event.step, event.rate_factor) for event in back] == [(3, 0.5), (3, 0.25)]
    record = RunFolder(tmp_path / "run").read_record()
    assert [line["step"] for line in record if line["kind"] == "step"] == list(range(9))
    rates = {line["step"]: line["rate"] for line in record if line["kind"] == "step"}
    assert rates[3] == pytest.approx(config.train.rate_at(3, steps_per_epoch=3) / 4, rel=1e-5)
    assert sum(line["kind"] == "rollback" for line in record) >= 1


def test_going_back_again_and_again_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    poison(monkeypatch, steps={4})
    config = toy_config(write_photos(tmp_path / "data"), safety__on_nan="rollback", safety__rollbacks=2)
    events: list[Event] = []
    with pytest.raises(DivergedError):
        train(config, tmp_path / "run", device="cpu", on_event=events.append)
    assert sum(isinstance(event, RolledBack) for event in events) == 2


def test_training_stops_early_on_the_documented_rules(tmp_path: Path) -> None:
    config = toy_config(
        write_photos(tmp_path / "data"),
        train__epochs=40,
        train__rate=1e-12,
        train__frozen_norm=True,
        stopping__first_epoch=2,
        stopping__window=[0, 0],
        stopping__patience=3,
        validation__ap=False,
    )
    result = train(config, tmp_path / "run", device="cpu")
    assert result.ending == "stopped early"
    assert result.steps == 3 * 6  # epoch 2 is the first that counts; three more without a better one
    again = train(config, tmp_path / "run", resume=True, device="cpu")
    assert again.ending == "stopped early"
    assert again.steps == result.steps


def test_first_weights_can_come_from_an_earlier_run(tmp_path: Path) -> None:
    data = write_photos(tmp_path / "data")
    first = train(toy_config(data, train__epochs=1), tmp_path / "first", device="cpu")
    assert first.weights is not None
    config = toy_config(data, train__epochs=1, train__rate=1e-12, model__weights=str(first.weights))
    second = train(config, tmp_path / "second", device="cpu")
    assert second.weights is not None
    before, after = weights(first.weights), weights(second.weights)
    key = "heads.0.boxes.weight"
    torch.testing.assert_close(before[key], after[key], atol=1e-9, rtol=0)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    data = write_photos(tmp_path / "data")
    first = train(toy_config(data, train__epochs=1), tmp_path / "first", device="cpu")
    config = toy_config(data, model__name="v1", model__weights=str(first.weights))
    with pytest.raises(
        ConfigError, match=r"holds another network than v1 .* it has out_channel=32, bifpn=light"
    ):
        train(config, tmp_path / "second", device="cpu")


def test_a_pruned_network_is_trained_further(tmp_path: Path) -> None:
    smaller, _ = prune(build_network(VARIANTS["v2"]), 0.5)
    save_network(smaller, tmp_path / "small.safetensors")
    given = {"model__name": "v2", "model__weights": str(tmp_path / "small.safetensors")}
    data = write_photos(tmp_path / "data")
    with pytest.raises(ConfigError, match="it has out_channel=16"):
        train(toy_config(data, **given), tmp_path / "refused", device="cpu")
    config = toy_config(data, **given, model__settings=("out_channel=16",), train__epochs=1)
    result = train(config, tmp_path / "run", device="cpu")
    assert result.weights is not None
    before, after = smaller.state_dict(), weights(result.weights)
    assert {key: value.shape for key, value in after.items()} == {key: v.shape for key, v in before.items()}
    changed = [key for key, value in after.items() if not torch.equal(value, before[key])]
    assert any(key.startswith("context") for key in changed)


def test_photos_held_back_are_not_learnt_from(tmp_path: Path) -> None:
    data = write_photos(tmp_path / "data")
    (tmp_path / "held.txt").write_text("event/1.png\nevent/5.png\n", encoding="utf-8")
    events: list[Event] = []
    config = toy_config(data, data__validation_names=str(tmp_path / "held.txt"), train__epochs=1)
    train(config, tmp_path / "run", device="cpu", on_event=events.append)
    seen = {name for event in events if isinstance(event, StepDone) for name in event.report.images}
    assert seen == {f"event/{i}.png" for i in (0, 2, 3, 4, 6, 7)}


def test_photos_held_back_may_share_their_name_and_that_of_their_folder(tmp_path: Path) -> None:
    folder = write_photos(tmp_path / "data", 4)
    for place in ("a", "b"):
        (folder / "images" / place).mkdir()
        shutil.copytree(folder / "images" / "event", folder / "images" / place / "event")
    labels = (folder / "label.txt").read_text(encoding="utf-8")
    both = "".join(labels.replace("# event", f"# {place}/event") for place in ("a", "b"))
    (folder / "label.txt").write_text(both, encoding="utf-8")
    (tmp_path / "held.txt").write_text("a/event/1.png\nb/event/1.png\n", encoding="utf-8")
    config = toy_config(folder, data__validation_names=str(tmp_path / "held.txt"), train__epochs=1)
    best = train(config, tmp_path / "run", device="cpu").best
    assert best is not None
    assert "height>=10" in best.ap


def test_weights_are_not_judged_by_ap_where_there_is_no_face_to_find(tmp_path: Path) -> None:
    data = write_photos(tmp_path / "data")
    with (data / "label.txt").open("a", encoding="utf-8") as labels:
        labels.write("# event/nobody.png\n")
    shutil.copy(data / "images" / "event" / "0.png", data / "images" / "event" / "nobody.png")
    (tmp_path / "held.txt").write_text("event/nobody.png\n", encoding="utf-8")
    config = toy_config(data, data__validation_names=str(tmp_path / "held.txt"), stopping__metric="ap")
    with pytest.raises(InputError, match="have no face that is large enough to count"):
        train(config, tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()
    with pytest.raises(ConfigError, match=r"needs validation\.ap = true"):
        toy_config(data, stopping__metric="ap", validation__ap=False)


@pytest.mark.parametrize(("workers", "cached"), [(0, False), (1, False), (0, True)])
def test_a_damaged_photo_is_told_once_and_the_training_goes_on(
    tmp_path: Path, workers: int, cached: bool
) -> None:
    data = write_photos(tmp_path / "data")
    photo = data / "images" / "event" / "2.png"
    cut_short = encode_image(read_image(photo), suffix=".jpg")
    photo.write_bytes(cut_short[: len(cut_short) // 2])  # its header is whole
    events: list[Event] = []
    config = toy_config(
        data,
        data__workers=workers,
        data__cache=str(tmp_path / "cache") if cached else "none",
        data__holdout=0.0,
        mix__cutmix=0.5,
    )
    assert train(config, tmp_path / "run", device="cpu", on_event=events.append).ending == "finished"
    told = [event for event in events if isinstance(event, Failed) and event.name == "event/2.png"]
    assert len(told) == 1
    assert all(math.isfinite(line["total"]) for line in steps(tmp_path / "run"))


def test_photos_that_are_gone_end_the_training(tmp_path: Path) -> None:
    data = write_photos(tmp_path / "data", 12)
    config = toy_config(data)

    def unplug(event: Event) -> None:
        if isinstance(event, RunStarted):
            shutil.rmtree(data / "images")

    with pytest.raises(InputError, match=r"4 of 9 photos cannot be read.*are they still where they were"):
        train(config, tmp_path / "run", device="cpu", on_event=unplug)


def test_checkpoints_in_the_middle_of_an_epoch_come_by_time(tmp_path: Path) -> None:
    data = write_photos(tmp_path / "data")
    for name, minutes, expected in (("often", 1e-9, 9 + 3), ("rarely", 60.0, 3)):
        events: list[Event] = []
        config = toy_config(data, safety__save_minutes=minutes)
        train(config, tmp_path / name, device="cpu", on_event=events.append)
        assert sum(isinstance(event, Saved) for event in events) == expected


def test_workers_start_where_opencv_has_threads_already(tmp_path: Path) -> None:
    # in a process of its own: a loader that waits for ever would take the other tests with it
    code = (
        "import sys; from pathlib import Path; import cv2, numpy as np\n"
        "from ffcore.training.job import train\n"
        "from tests.training.toy_data import toy_config\n"
        "cv2.setNumThreads(4)\n"
        "cv2.GaussianBlur(np.zeros((2000, 2000, 3), np.uint8), (31, 31), 0)\n"
        "cv2.resize(np.zeros((2000, 2000, 3), np.uint8), (1500, 1500))\n"
        "train(toy_config(Path(sys.argv[1]), data__workers=2, train__epochs=2), sys.argv[2], device='cpu')"
    )
    data = write_photos(tmp_path / "data")
    subprocess.run([sys.executable, "-c", code, data, tmp_path / "run"], cwd=ROOT, check=True, timeout=200)
