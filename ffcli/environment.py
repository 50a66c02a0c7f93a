"""What matters for a bug report: versions and the machine, on one line."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version

PACKAGES = (
    ("numpy",),
    ("opencv-python-headless", "opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless"),
    ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino"),
    ("pillow",),
    ("av",),
    ("torch",),
    ("torchvision",),
    ("onnx",),
)
"""Packages by what they are, each with the names under which it comes."""


def environment() -> str:
    """One line; asks the installed packages for their versions without importing them."""
    machine = f"{platform.platform()}, {os.cpu_count()} cores"
    return ", ".join((f"Python {platform.python_version()}", machine, *map(_installed, PACKAGES)))


def _installed(names: tuple[str, ...]) -> str:
    """All builds of a package that are there: two of one kind are a cause of trouble."""
    found = []
    for name in names:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return " and ".join(found) or f"no {names[0]}"
