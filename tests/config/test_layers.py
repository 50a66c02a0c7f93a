from __future__ import annotations

from pathlib import Path

import pytest

from ffcore.config.layers import read_toml, resolve
from ffcore.errors import ConfigError
from ffcore.training.config import TrainConfig


def test_a_whole_number_beyond_all_floats_is_refused_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "train.toml"
    file.write_text(f"rate = {10**400}\n")
    with pytest.raises(ConfigError, match=r"train\.toml: rate = 1000.*beyond all bounds"):
        resolve(TrainConfig(), [read_toml(file)])
