"""The versions that matter for a bug report."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("numpy", "opencv-python-headless", "onnxruntime", "torch", "torchvision", "onnx")


def environment() -> str:
    """One line; asks the installed packages for their versions without importing them."""
    found = [f"Python {platform.python_version()}", platform.platform()]
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"no {package}")
    return ", ".join(found)
