"""From the name or the file of a network to what runs it."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from ffcore import filetype
from ffcore.detection.facts import PREFIX, DetectorFacts
from ffcore.detection.shipped import SHIPPED, shipped_file, shipped_weights
from ffcore.errors import CheckpointError, ConfigError, MissingDependencyError

if TYPE_CHECKING:
    from ffcore.detection.graph_backend import GraphBackend
    from ffcore.detection.graph_session import GraphSession
    from ffcore.detection.torch_backend import TorchBackend

Library: TypeAlias = Literal["onnxruntime", "openvino", "torch"]
"""What can run a network; the first two run ONNX files."""

ONNX_SUFFIXES = (".onnx",)
TORCH_SUFFIXES = (".pth", ".pt", ".tar", ".safetensors")


def load_backend(
    source: str | Path,
    *,
    backend: Library | None = None,
    device: str = "auto",
    threads: int | None = None,
) -> GraphBackend | TorchBackend:
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
    if backend not in (None, *get_args(Library)):
        raise ConfigError(f"backend = {backend!r}: choose one of {', '.join(get_args(Library))}")
    path = weights_file(source)
    fitting = _fitting_libraries(path)
    if backend is not None and backend not in fitting:
        raise ConfigError(
            f"{path}: {backend} cannot run this kind of file, {fitting[0]} can; leave out backend"
        )
    chosen = backend or fitting[0]
    if chosen == "onnxruntime":
        from ffcore.detection.onnxruntime_backend import OnnxRuntimeBackend

        return OnnxRuntimeBackend(path, device=device, threads=threads)
    if chosen == "openvino":
        from ffcore.detection.graph_backend import GraphBackend

        return GraphBackend(open_session(path, chosen, device=device, threads=threads), path)
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


def tensors_file(source: str | Path) -> Path:
    """The file that torch can read: a name stands for the tensors of the shipped pair, not for its graph.

    Args:
        source: As for `weights_file`.

    Raises:
        CheckpointError: A path that leads to no file.
        UnknownModelError: No such name, or no weights of it.
    """
    path = weights_file(source)
    return next((shipped.tensors for shipped in SHIPPED.values() if path == shipped.onnx), path)


def open_session(
    path: Path, library: Library | None = None, *, device: str = "auto", threads: int | None = None
) -> GraphSession:
    """Opens any ONNX file, a detector or not.

    Args:
        path: The file.
        library: The runtime; ONNX Runtime when None.
        device: See the sessions of the runtimes, likewise below.
        threads: Of one run.

    Raises:
        CheckpointError: The file cannot be read, or is no ONNX model.
        MissingDependencyError: The runtime or the device is not there.
        ConfigError: The library runs no ONNX files, or the device or the threads make no sense.
    """
    if library == "openvino":
        from ffcore.detection.openvino_session import OpenVinoSession

        return OpenVinoSession(path, device=device, threads=threads)
    if library == "torch":
        raise ConfigError(f"{path}: torch cannot run an ONNX file; leave out backend")
    from ffcore.detection.onnxruntime_session import OnnxRuntimeSession

    return OnnxRuntimeSession(path, device=device, threads=threads)


def _fitting_libraries(path: Path) -> tuple[Library, ...]:
    """What runs a file of this kind, the usual one first; by its suffix, or by its content if need be."""
    suffix = path.suffix.lower()
    if suffix in ONNX_SUFFIXES:
        return "onnxruntime", "openvino"
    if suffix in TORCH_SUFFIXES:
        return ("torch",)
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        raise CheckpointError(path, f"cannot be read: {error.strerror}") from None
    if filetype.is_onnx(head):
        return "onnxruntime", "openvino"
    if filetype.is_zip(head) or filetype.is_pickle(head) or filetype.is_safetensors(head):
        return ("torch",)
    kind = filetype.describe(head)
    known = ", ".join((*ONNX_SUFFIXES, *TORCH_SUFFIXES))
    raise CheckpointError(path, f"weights were expected ({known}), this is {kind or 'something else'}")
