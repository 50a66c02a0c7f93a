from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffcore.config import NetworkConfig, apply_settings
from ffcore.errors import ConfigError
from ffcore.models.variants import VARIANTS


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"bifpn": "seperable"}, "did you mean 'separable'"),
        ({"backbone_attention": "se"}, "choose one of none, cbam"),
        ({"out_channel": 54}, "multiple of 4; the nearest are 52 and 56"),
        ({"out_channel": 40, "ssh": "grouped"}, "multiple of 16; the nearest are 32 and 48"),
        ({"out_channel": 4}, "from 8 to 512"),
        ({"out_channel": 56.0}, "whole number"),
        ({"bifpn_repeats": 0}, "from 1 to 8"),
        ({"bifpn_repeats": True}, "whole number"),
        ({"out_channel": 8, "pyramid_attention": "cbam"}, "use 16 or more"),
    ],
)
def test_impossible_values_are_refused_when_made(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        NetworkConfig(**values)


def test_a_configuration_cannot_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        NetworkConfig().out_channel = 64  # type: ignore[misc]


@pytest.mark.parametrize("config", VARIANTS.values(), ids=list(VARIANTS))
def test_plain_values_and_back(config: NetworkConfig) -> None:
    assert NetworkConfig.from_dict(config.to_dict()) == config


def test_an_unknown_field_is_named_with_the_near_one() -> None:
    with pytest.raises(
        ConfigError, match="'out_channels' is not a setting of a network: did you mean 'out_channel'"
    ):
        NetworkConfig.from_dict({"out_channels": 24})


def test_settings_change_single_fields() -> None:
    config = apply_settings(
        VARIANTS["v1"], ["out_channel=24", "backbone_attention=cbam", " bifpn_repeats = 3 "]
    )
    assert config == NetworkConfig(out_channel=24, backbone_attention="cbam", bifpn_repeats=3)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("out_channel", "form field=value"),
        ("out_channel=", "form field=value"),
        ("out_chanel=24", "did you mean 'out_channel'"),
        ("out_channel=wide", "whole number"),
    ],
)
def test_a_wrong_setting_says_what_is_wrong(setting: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        apply_settings(VARIANTS["v1"], [setting])


@given(width=st.integers(-10, 600))
def test_every_width_is_either_built_or_refused_with_a_width_that_works(width: int) -> None:
    try:
        NetworkConfig(out_channel=width)
    except ConfigError as error:
        if "nearest" in str(error):
            below, above = (int(word) for word in str(error).partition("nearest are ")[2].split(" and "))
            assert below <= width <= above or width < below
            NetworkConfig(out_channel=below)
