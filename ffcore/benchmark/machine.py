"""What a measurement ran on."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np


@dataclass(frozen=True)
class Machine:
    """A machine and the software that matters for its speed.

    Args:
        cpu: The model, as the system names it.
        cores: Logical cores that this process may use.
        gpu: The model, or "" when torch did not use one.
        load: Processes that wanted a core in the minute before, on average; None where the system does
            not tell. Figures of a busy machine are worth less.
        system: Name and version of the operating system, and the processor's architecture.
        versions: Package to version.
    """

    cpu: str
    cores: int
    gpu: str
    load: float | None
    system: str
    versions: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values."""
        return asdict(self)


def describe_machine() -> Machine:
    """The machine that this process runs on; libraries are named that are loaded by now."""
    versions = {"python": platform.python_version(), "numpy": np.__version__, "opencv": cv2.__version__}
    for name in ("onnxruntime", "openvino", "torch"):
        if name in sys.modules:
            versions[name] = library_version(name)
    return Machine(
        cpu=_cpu(),
        cores=_cores(),
        gpu=_gpu(),
        load=_load(),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        versions=versions,
    )


def library_version(name: str) -> str:
    """The version of a library that is loaded already."""
    return str(getattr(sys.modules[name], "__version__", "unknown"))


def _cpu() -> str:
    if platform.system() == "Darwin":
        command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        try:
            name = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout
        except (OSError, subprocess.SubprocessError):
            name = ""
    else:
        name = _from_cpuinfo()
    return " ".join(name.split()) or platform.processor() or platform.machine()


def _from_cpuinfo() -> str:
    """The model from Linux' table; small boards name themselves instead."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    entries = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    return entries.get("model name", "") or entries.get("Model", "") or entries.get("Hardware", "")


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def _load() -> float | None:
    try:
        return round(os.getloadavg()[0], 2)
    except (AttributeError, OSError):
        return None


def _gpu() -> str:
    torch = sys.modules.get("torch")
    # Asking a torch that has not touched the card would start it.
    if torch is None or not torch.cuda.is_initialized():
        return ""
    return str(torch.cuda.get_device_name())
