from __future__ import annotations

import subprocess
import sys

import pytest

import ffcore.images

HEAVY = ("torch", "torchvision", "typer", "rich", "av", "onnx", "onnxruntime", "matplotlib", "scipy")


@pytest.mark.parametrize("module", ["ffcore.images", "ffcore.geometry.alignment", "ffcore.detection.hold"])
def test_importing_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*(name for name in {HEAVY!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == []


def test_every_public_name_is_there_and_described() -> None:
    for name in ffcore.images.__all__:
        value = getattr(ffcore.images, name)
        if callable(value):
            assert value.__doc__, name
