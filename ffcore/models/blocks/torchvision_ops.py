"""The one place that imports torchvision, late and prepared for a build that does not fit torch."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from torch import Tensor

from ffcore.errors import MissingDependencyError


def import_torchvision_ops() -> Any:
    """The module ``torchvision.ops``.

    Raises:
        MissingDependencyError: It is not installed, or was built for another torch.
    """
    try:
        import torchvision.ops
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            'torchvision is not installed: run pip install "featherface[train]"'
        ) from error
    except (
        RuntimeError,
        OSError,
    ) as error:  # "operator torchvision::nms does not exist", a missing CUDA library
        raise MissingDependencyError(mismatch_message(str(error))) from error
    return torchvision.ops


def mismatch_message(reason: str) -> str:
    """One line about a torch and a torchvision that do not belong together.

    Args:
        reason: What the import said.
    """
    from importlib.metadata import PackageNotFoundError, version

    def installed(name: str) -> str:
        try:
            return version(name)
        except PackageNotFoundError:
            return "not installed"

    return (
        f"torch {installed('torch')} and torchvision {installed('torchvision')} are not a matching pair "
        f"({reason.splitlines()[0]}): reinstall both in one command, "
        "pip install --upgrade torch torchvision, both for CPU or both for CUDA"
    )


@functools.cache
def torchvision_deform_conv2d() -> Callable[..., Tensor] | None:
    """The kernel of torchvision with the signature of `deform_conv2d`, or None where it does not load."""
    try:
        ops = import_torchvision_ops()
    except MissingDependencyError:
        return None

    def deform_conv2d(
        x: Tensor,
        weight: Tensor,
        *,
        offset: Tensor,
        mask: Tensor,
        stride: int = 1,
        padding: int = 1,
        dilation: int = 1,
    ) -> Tensor:
        result: Tensor = ops.deform_conv2d(
            x, offset, weight, stride=stride, padding=padding, dilation=dilation, mask=mask
        )
        return result

    return deform_conv2d
