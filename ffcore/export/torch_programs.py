"""Networks as files that torch runs without this package: TorchScript and exported programs."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch

from ffcore.errors import ExportError, one_line
from ffcore.export.onnx_graph import WithProbabilities, example_input, quiet
from ffcore.export.parity import Runner, torch_runner
from ffcore.models.featherface import FeatherFace

FACTS_FILE = "featherface.json"
"""Under this name both kinds of files hold what is known about the network, as a JSON object of texts."""


def write_torchscript(
    network: FeatherFace, path: Path, *, size: tuple[int, int] | None = None, facts: Mapping[str, str]
) -> None:
    """Traces a network and writes it as TorchScript, with BatchNorm folded; inputs and outputs as in ONNX.

    Args:
        network: In evaluation mode.
        path: The file.
        size: Height and width of the traced example. TorchScript does not insist on it.
        facts: Goes into the file.

    Raises:
        ExportError: Tracing failed.
    """
    example, _ = example_input(size)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            # about sides read as numbers: they are recorded, and the parity check sees other sizes
            warnings.simplefilter("ignore")
            traced = torch.jit.trace(WithProbabilities(network).eval(), (example,), check_trace=False)  # type: ignore[no-untyped-call]
            frozen = torch.jit.freeze(traced)
            torch.jit.save(frozen, str(path), _extra_files={FACTS_FILE: json.dumps(dict(facts))})
    except Exception as error:  # the tracer has no family of errors of its own
        raise ExportError(f"torchscript: tracing failed ({one_line(error)}); nothing was written") from error


def torchscript_runner(path: Path) -> Runner:
    """Runs a TorchScript file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch_runner(torch.jit.load(str(path), map_location="cpu"))  # type: ignore[no-untyped-call]


def write_program(
    network: FeatherFace, path: Path, *, size: tuple[int, int] | None = None, facts: Mapping[str, str]
) -> None:
    """Writes a network as a program of ``torch.export``; inputs and outputs as in ONNX.

    Args:
        network: In evaluation mode.
        path: The file.
        size: Height and width to fix together with a batch of 1; None leaves all three open.
        facts: Goes into the file.

    Raises:
        ExportError: The exporter failed.
    """
    example, dynamic = example_input(size)
    try:
        with torch.no_grad(), quiet():
            program = torch.export.export(
                WithProbabilities(network).eval(), (example,), dynamic_shapes=dynamic
            )
            torch.export.save(program, path, extra_files={FACTS_FILE: json.dumps(dict(facts))})
    except Exception as error:  # as above
        raise ExportError(f"pt2: torch.export failed ({one_line(error)}); nothing was written") from error


def program_runner(path: Path) -> Runner:
    """Runs a file of ``torch.export``."""
    with quiet():
        return torch_runner(torch.export.load(path).module())
