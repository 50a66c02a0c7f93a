from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent.parent

WHAT_TORCHVISION_DOES = {
    "mismatch": ('raise RuntimeError("operator torchvision::nms does not exist")', "not a matching pair"),
    "library": ('raise OSError("libc10_cuda.so: cannot open shared object file")', "not a matching pair"),
    "missing": ('raise ModuleNotFoundError("No module named torchvision")', "torchvision is not installed"),
}


@pytest.mark.parametrize("case", WHAT_TORCHVISION_DOES)
def test_a_torchvision_that_does_not_load_is_diagnosed_and_spoils_nothing_else(
    case: str, tmp_path: Path
) -> None:
    code, message = WHAT_TORCHVISION_DOES[case]
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(code + "\n", encoding="utf-8")
    script = (
        "import torch, ffcore\n"
        "from ffcore.models.blocks.torchvision_ops import import_torchvision_ops, torchvision_deform_conv2d\n"
        "ffcore.build_network(ffcore.VARIANTS['v1'])(torch.zeros(2, 3, 64, 64))\n"
        "assert torchvision_deform_conv2d() is None\n"
        "try:\n"
        "    import_torchvision_ops()\n"
        "except ffcore.MissingDependencyError as error:\n"
        "    print(error)\n"
    )
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert message in done.stdout
    assert done.stdout.count("\n") == 1
    if case != "missing":
        assert "torch " in done.stdout
        assert "pip install --upgrade torch torchvision" in done.stdout
