"""From the name or the file of a network to what runs it."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Literal

from ffcore import filetype
from ffcore.detection.backend import Backend
from ffcore.detection.facts import PREFIX, DetectorFacts
from ffcore.detection.shipped import SHIPPED, shipped_file, shipped_weights
from ffcore.errors import CheckpointError, ConfigError, MissingDependencyError

ONNX_SUFFIXES = (".onnx",)
TORCH_SUFFIXES = (".pth", ".pt", ".tar", ".safetensors")


def load_backend(
    source: str | Path,
    *,
    backend: Literal["onnxruntime", "torch"] | None = None,
    device: str = "auto",
    threads: int | None = None,
) -> Backend:
    """What runs a network, by the kind of its file.

    Args:
        source: A file, or the name of weights that come with the package.
        backend: What must run it, or None.
        device: See the backends.
        threads: See the backends.

    Raises:
        CheckpointError: The file is missing, damaged, or no detector.
        UnknownModelError: No such name, or no weights of it.
        MissingDependencyError: The library or the device is not there.
        ConfigError: The backend does not exist, or cannot run this kind of file.
    """
    if backend not in (None, "onnxruntime", "torch"):
        raise ConfigError(f"backend = {backend!r}: choose one of onnxruntime, torch")
    path = weights_file(source)
    fitting = _fitting_backend(path)
    if backend is not None and backend != fitting:
        raise ConfigError(f"{path}: {backend} cannot run this kind of file, {fitting} can; leave out backend")
    if fitting == "onnxruntime":
        from ffcore.detection.onnxruntime_backend import OnnxRuntimeBackend

        return OnnxRuntimeBackend(path, device=device, threads=threads)
    if importlib.util.find_spec("torch") is None:
        raise MissingDependencyError(
            f"{path}: torch is needed for this kind of file; pip install 'featherface[train]', or export it "
            "to .onnx elsewhere"
        )
    from ffcore.detection.torch_backend import TorchBackend
    from ffcore.models.weights import read_checkpoint

    checkpoint = read_checkpoint(path)
    known = {f"{PREFIX}{key}": value for key, value in checkpoint.facts.items()}
    try:
        facts = replace(DetectorFacts.from_metadata(known), network=checkpoint.name)
    except ConfigError as error:
        raise CheckpointError(path, str(error)) from None
    return TorchBackend(checkpoint.network(), device=device, threads=threads, facts=facts)


def weights_file(source: str | Path) -> Path:
    """The file that is meant: an existing one, or that of weights that come with the package.

    Args:
        source: A path; the name of a network, ``v2``, for its ONNX file; or the name of a shipped file,
            ``v2.onnx``, where no such file lies.

    Raises:
        CheckpointError: A path that leads to no file.
        UnknownModelError: No such name, or no weights of it.
    """
    path = Path(source)
    try:
        is_file, is_folder = path.is_file(), path.is_dir()
    except OSError as error:  # in a locked folder, or too long
        raise CheckpointError(source, f"cannot be read: {error.strerror}") from None
    if is_file:
        return path
    if is_folder:
        raise CheckpointError(source, "is a folder; give a file of weights")
    if shipped := shipped_file(str(source)):
        return shipped
    if isinstance(source, Path) or path.suffix in (*ONNX_SUFFIXES, *TORCH_SUFFIXES) or len(path.parts) != 1:
        raise CheckpointError(
            source,
            "there is no such file; check the path, or name weights that come with the package: "
            f"{', '.join(SHIPPED)}",
        )
    return shipped_weights(source).onnx


def _fitting_backend(path: Path) -> Literal["onnxruntime", "torch"]:
    """What runs a file of this kind, by its suffix, or by its content when the suffix says nothing."""
    suffix = path.suffix.lower()
    if suffix in ONNX_SUFFIXES:
        return "onnxruntime"
    if suffix in TORCH_SUFFIXES:
        return "torch"
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        raise CheckpointError(path, f"cannot be read: {error.strerror}") from None
    if filetype.is_onnx(head):
        return "onnxruntime"
    if filetype.is_zip(head) or filetype.is_pickle(head) or filetype.is_safetensors(head):
        return "torch"
    kind = filetype.describe(head)
    known = ", ".join((*ONNX_SUFFIXES, *TORCH_SUFFIXES))
    raise CheckpointError(path, f"weights were expected ({known}), this is {kind or 'something else'}")
