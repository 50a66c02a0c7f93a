from __future__ import annotations

from dataclasses import is_dataclass
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffcore.config.layers import Layer, flat, parse_setting, read_toml, resolve, to_toml
from ffcore.distillation.run_config import DistillationRunConfig
from ffcore.errors import ConfigError, InputError
from ffcore.training.run_config import PRESETS, RunConfig, preset, resolve_run


def test_presets_hold_the_documents_values() -> None:
    v1, v2, ca = (resolve_run([preset(name)]).config for name in ("v1", "v2", "v2-ca"))
    assert (v1.train.epochs, v1.train.schedule, v1.train.rate, v1.data.batch_size) == (
        350,
        "onecycle",
        1e-3,
        32,
    )
    assert (v2.train.epochs, v2.train.schedule, v2.train.warmup, v2.model.name) == (400, "cosine", 5, "v2")
    assert (ca.train.epochs, ca.train.rate, ca.model.name) == (250, 1e-4, "v2-ca")


def test_the_last_layer_wins_and_every_value_knows_where_it_comes_from(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("seed = 7\n[train]\nepochs = 30\nrate = 2e-3\n", encoding="utf-8")
    resolved = resolve_run(
        [preset("v2"), read_toml(tmp_path / "mine.toml"), Layer("--epochs", {"train.epochs": 60})]
    )
    assert resolved.config.train.epochs == 60
    assert resolved.config.train.rate == 2e-3
    assert resolved.config.seed == 7
    origins = {name: resolved.origins[f"train.{name}"] for name in ("epochs", "rate", "schedule", "clip")}
    assert origins == {"epochs": "--epochs", "rate": "mine.toml", "schedule": "preset v2", "clip": "default"}


@pytest.mark.parametrize("name", PRESETS)
def test_a_configuration_survives_the_way_through_its_file(tmp_path: Path, name: str) -> None:
    config = resolve_run([preset(name), parse_setting("augment.sizes=[320, 448]")]).config
    (tmp_path / "config.toml").write_text(to_toml(config), encoding="utf-8")
    assert resolve(RunConfig(), [read_toml(tmp_path / "config.toml")]).config == config


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), st.floats(1e-6, 1.0))
def test_any_text_and_number_survives_too(text: str, rate: float) -> None:
    import tomllib

    config = resolve(
        RunConfig(), [Layer("test", {"data.names": f"x{text}", "train.rate": rate, "model.settings": [text]})]
    ).config
    document = tomllib.loads(to_toml(config))
    assert document["data"]["names"] == f"x{text}"
    assert document["model"]["settings"] == [text]
    assert document["train"]["rate"] == rate


@pytest.mark.parametrize(
    "config", [RunConfig(), DistillationRunConfig()], ids=lambda config: type(config).__name__
)
def test_no_section_may_be_absent_as_files_and_flags_name_only_its_fields(config: RunConfig) -> None:
    def check(kind: type) -> None:
        for name, hint in get_type_hints(kind).items():
            assert not any(is_dataclass(part) for part in get_args(hint)), f"{kind.__name__}.{name}"
            if isinstance(hint, type) and is_dataclass(hint):
                check(hint)

    check(type(config))


def test_a_warm_up_that_nobody_chose_fits_a_short_training() -> None:
    short = resolve_run([preset("v2"), Layer("--epochs", {"train.epochs": 20})])
    assert short.config.train.warmup == 2
    assert short.origins["train.warmup"] == "a tenth of the epochs"
    chosen = resolve_run(
        [preset("v2"), Layer("--epochs", {"train.epochs": 20}), Layer("--warmup", {"train.warmup": 7})]
    )
    assert chosen.config.train.warmup == 7


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("train.epoch=3", "--set train.epoch: 'train.epoch' is not a setting; did you mean 'train.epochs'"),
        ("train.epochs=3.5", "train.epochs = 3.5: a whole number is needed"),
        ("train.epochs=true", "not true or false"),
        ("train.epochs=0", "--set train.epochs: epochs = 0"),
        ("forward.amp=yes", "true or false is needed"),
        ("stopping.window=1", "a list is needed"),
        ("augment.sizes=large", "a whole number is needed"),
        ("stopping.window=[1]", "a list of 2 values"),
        ("train.schedule=cosin", "did you mean 'cosine'"),
        ("safety.on_nan=rolback", "did you mean 'rollback'"),
        ("stopping.metric=map", "metric"),
        ("seed=-1", "seed = -1"),
        ("train.rate", "section.field=value"),
        ("train.rate=fast", "a number is needed"),
    ],
)
def test_a_wrong_setting_is_one_line_that_says_where_it_stands(setting: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve_run([parse_setting(setting)])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["[train\n", "\xff", "a = 1\na = 2\n"])
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "broken.toml"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"broken\.toml: cannot be read as TOML"):
        read_toml(file)


def test_one_value_is_enough_where_a_list_may_have_any_length() -> None:
    assert resolve(RunConfig(), [parse_setting("augment.sizes=320")]).config.augment.sizes == (320,)
    found = resolve(RunConfig(), [parse_setting("data.unlabelled=more")]).config
    assert found.data.unlabelled == ("more",)


def test_absent_values_are_written_as_none_and_come_back() -> None:
    assert flat(RunConfig())["data.names"] == "none"
    assert resolve(RunConfig(), [parse_setting("data.names=none")]).config.data.names is None
