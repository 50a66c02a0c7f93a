from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture
def reference() -> Path:
    folder = os.environ.get("FEATHERFACE_REFERENCE")
    if not folder:
        pytest.skip("FEATHERFACE_REFERENCE is not set")
    return Path(folder)
