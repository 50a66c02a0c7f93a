from __future__ import annotations

from pathlib import Path

import pytest

from ffcore.export.onnx_graph import export_onnx
from tests.distillation.toys import trained


@pytest.fixture(scope="session")
def onnx_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`trained("v2")` as ONNX; exporting takes seconds."""
    path = tmp_path_factory.mktemp("teacher") / "v2.onnx"
    export_onnx(trained("v2"), path, form="plain")
    return path
