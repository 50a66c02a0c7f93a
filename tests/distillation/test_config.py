from __future__ import annotations

from typing import Any

import pytest

from ffcore.config.settings import apply_settings
from ffcore.distillation.config import DistillationConfig
from ffcore.errors import ConfigError


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", 0.0),
        ("temperature", float("nan")),
        ("normalize", "faces"),
        ("feature_norm", "none"),
        ("focal_gamma", 0.5),
        ("class_weight", -1.0),
        ("box_weight", float("nan")),
        ("landmark_weight", -0.1),
        ("feature_weight", -0.1),
        ("size_balance", -0.1),
        ("teacher_ignore", 1.5),
        ("start_epoch", -1),
        ("start_epoch", 1.5),
    ],
)
def test_an_impossible_setting_is_an_error_that_names_it(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"^{name} = "):
        DistillationConfig(**{name: value})


def test_single_settings_change_as_text() -> None:
    changed = apply_settings(DistillationConfig(), ["normalize=focal", "temperature=2", "start_epoch=3"])
    assert changed == DistillationConfig(normalize="focal", temperature=2.0, start_epoch=3)
