"""Tensors from files of any origin: untrusted, wrapped, prefixed, damaged."""

from __future__ import annotations

import json
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ffcore import filetype
from ffcore.errors import CheckpointError, one_line

WRAPPERS = ("state_dict", "model_state_dict")
"""Keys under which training scripts put the tensors."""

PROFILER_ENTRIES = ("total_ops", "total_params")
"""Last parts of keys that a profiler left behind in published files."""


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Reads whatever a training script may have saved, without running anything in it.

    Args:
        path: A safetensors file, or one written by ``torch.save``. The tensors may lie at the top or
            under one of `WRAPPERS`, with a ``module.`` prefix, among the leftovers of a profiler.

    Returns:
        Finite tensors by their names in the file, without prefix; and the metadata of our own format
        as ``config`` and ``facts``, empty for other files.

    Raises:
        CheckpointError: It is no such file, wants to run code, is damaged, or holds NaN or infinity.
    """
    tensors, metadata = _read(path)
    for key, value in tensors.items():
        if value.is_floating_point() and not value.isfinite().all():
            raise CheckpointError(
                path, f"{key} holds values that are not finite; the training it comes from failed"
            )
    return tensors, metadata


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except FileNotFoundError:
        raise CheckpointError(path, "there is no such file; check the path") from None
    except IsADirectoryError:
        raise CheckpointError(path, "is a folder; name the checkpoint file in it") from None
    except OSError as error:
        raise CheckpointError(path, f"cannot be read ({error.strerror})") from error
    if filetype.is_safetensors(head):
        return _read_safetensors(path)
    if filetype.is_zip(head) or filetype.is_pickle(head):
        return _read_pickle(path, is_archive=filetype.is_zip(head))
    kind = filetype.describe(head)
    if kind == "an ONNX file":
        raise CheckpointError(path, "is an ONNX file; torch weights (.pth, .safetensors) are needed here")
    raise CheckpointError(path, f"is {kind or 'not a checkpoint'}; .pth or .safetensors weights are needed")


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  # not a dict
    except SafetensorError as error:
        raise CheckpointError(
            path, f"is damaged or truncated ({one_line(error)}); get the file again"
        ) from error
    return _clean(tensors), _own_metadata(path, metadata)


def _read_pickle(path: Path, *, is_archive: bool) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols; the outcome tells
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        _, found, culprit = str(error).partition("GLOBAL ")
        if found:
            raise CheckpointError(
                path,
                f"wants to run code ({culprit.split(' ')[0]}) when it is opened and was not loaded; "
                "ask for a safetensors file, or save only its state_dict",
            ) from error
        raise CheckpointError(
            path, "is a pickle that holds more than tensors, or is damaged; a saved state_dict is needed"
        ) from error
    except Exception as error:  # whatever a damaged archive makes torch raise, and it is many things
        if is_archive and not _has_directory(path):
            raise CheckpointError(path, "is truncated; get the file again") from error
        if is_archive and (program := _program_in(path)):
            raise CheckpointError(
                path,
                f"is {program}, not a file of weights; .pth and .safetensors are read, by detect .onnx too",
            ) from error
        raise CheckpointError(path, f"cannot be read as a checkpoint ({one_line(error)})") from error
    if not isinstance(content, Mapping):
        raise CheckpointError(path, f"holds a {type(content).__name__}, not the weights of a network")
    metadata = _own_metadata(path, content)
    for wrapper in WRAPPERS:
        if isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    tensors = _clean(content)
    foreign = [key for key, value in tensors.items() if not isinstance(value, Tensor)]
    if foreign or not tensors:
        held = f"no tensor under {foreign[0]!r}" if foreign else "nothing"
        raise CheckpointError(path, f"holds {held}; the weights must lie at the top or under state_dict")
    return tensors, metadata


def _has_directory(path: Path) -> bool:
    """Whether an archive has its end, where the list of its files stands."""
    try:
        return zipfile.is_zipfile(path)
    except (zipfile.BadZipFile, OSError):  # it has one that makes no sense
        return False


def _program_in(path: Path) -> str:
    """Which kind of program of torch an archive is, for people; "" for none."""
    try:
        with zipfile.ZipFile(path) as archive:
            inside = {name.rpartition("/")[2] for name in archive.namelist()}
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError):  # its list of files is damaged
        return ""
    if "constants.pkl" in inside:  # by which torch itself knows it
        return "a TorchScript file"
    # the second name is that of older versions of torch
    return "a torch.export program" if inside & {"archive_format", "serialized_exported_program.json"} else ""


def _clean(content: Mapping[Any, Any]) -> dict[str, Any]:
    """Takes off what wraps the names, and takes out what a profiler left."""
    tensors = {str(key): value for key, value in content.items()}
    if tensors and all(key.startswith("module.") for key in tensors):
        tensors = {key.removeprefix("module."): value for key, value in tensors.items()}
    return {key: value for key, value in tensors.items() if key.rpartition(".")[2] not in PROFILER_ENTRIES}


def _own_metadata(path: Path, content: Mapping[Any, Any]) -> dict[str, Any]:
    if content.get("format") != "featherface":
        return {}
    try:
        return {
            "config": json.loads(content["config"]),
            "facts": {**json.loads(content.get("facts", "{}")), "version": str(content.get("version", ""))},
        }
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(path, "its metadata is damaged; get the file again") from error
