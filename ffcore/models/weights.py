"""Reading and writing weights: our own format, and every layout in which the networks were published."""

from __future__ import annotations

import functools
import json
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from ffcore import filetype
from ffcore._version import __version__
from ffcore.config.network import NetworkConfig
from ffcore.errors import CheckpointError, ConfigError
from ffcore.files import replacing, write_bytes
from ffcore.models.featherface import FeatherFace, build_network
from ffcore.models.published import published_names
from ffcore.models.variants import VARIANTS, variant_name

Layout = Literal["featherface", "published"]
Shapes = dict[str, tuple[int, ...]]

WRAPPERS = ("state_dict", "model_state_dict")
"""Keys under which training scripts put the tensors."""

PROFILER_ENTRIES = ("total_ops", "total_params")
"""Last parts of keys that a profiler left behind in published files."""

NAMED_KEYS = 20
"""How many keys a message names; the exception holds all of them."""


class KeyMismatchError(CheckpointError):
    """The tensors of a file are not those of the network.

    Args:
        path: The file.
        network: What it was compared with.
        missing: Keys that the network needs and the file lacks.
        unexpected: Keys of the file that the network has no place for.
        misshaped: Key, shape in the file, shape in the network.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        network: str,
        missing: list[str],
        unexpected: list[str],
        misshaped: list[tuple[str, tuple[int, ...], tuple[int, ...]]],
    ) -> None:
        self.missing, self.unexpected, self.misshaped = missing, unexpected, misshaped
        parts = [
            _enumerate("missing", missing),
            _enumerate("unexpected", unexpected),
            _enumerate(
                "of another shape", [f"{key} {have} instead of {need}" for key, have, need in misshaped]
            ),
        ]
        differences = "; ".join(part for part in parts if part)
        super().__init__(
            path, f"the nearest network is {network}, but its weights are not all here: {differences}"
        )


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Weights with what is known about them.

    Args:
        config: The network they belong to.
        tensors: Its state dict, under our names.
        facts: What else the file says, as text: how it was trained, licences, measured APs, version.
        layout: How the file names its tensors.
    """

    config: NetworkConfig
    tensors: dict[str, Tensor]
    facts: dict[str, str] = field(default_factory=dict)
    layout: Layout = "featherface"

    @property
    def name(self) -> str:
        """Name of the network, "custom" for a configuration of one's own."""
        return variant_name(self.config)

    def network(self) -> FeatherFace:
        """The network with these weights, in evaluation mode."""
        network = build_network(self.config)
        network.load_state_dict(self.tensors, strict=True)
        return network.eval()


def read_checkpoint(path: str | Path, *, expect: str | None = None) -> Checkpoint:
    """Reads the weights of a detector.

    Understood are our own safetensors and ``.pth`` files and the published ``.pth`` layouts: bare, under
    ``state_dict`` or ``model_state_dict``, with a ``module.`` prefix, with a profiler's leftovers. The
    network is recognised from the file.

    Args:
        path: The file. Nothing in it is executed.
        expect: Name of the network that it must be, or None for any.

    Raises:
        CheckpointError: It is no such file, is damaged, or belongs to another network.
    """
    path = Path(path)
    tensors, metadata = _read_tensors(path)
    _check_finite(path, tensors)
    if metadata:
        config = _config_from(path, metadata)
        _compare(path, variant_name(config), tensors, _shapes(config, "featherface"))
        checkpoint = Checkpoint(config, tensors, facts=metadata["facts"])
    else:
        checkpoint = _recognise(path, tensors)
    if expect is not None and checkpoint.name != expect:
        raise CheckpointError(path, f"holds the network {checkpoint.name}, not {expect}")
    return checkpoint


def load_network(path: str | Path, *, expect: str | None = None) -> FeatherFace:
    """The network of a checkpoint with its weights, in evaluation mode.

    Args:
        path: As for `read_checkpoint`.
        expect: As for `read_checkpoint`.

    Raises:
        CheckpointError: As for `read_checkpoint`.
    """
    return read_checkpoint(path, expect=expect).network()


def save_network(
    network: FeatherFace,
    path: str | Path,
    *,
    facts: Mapping[str, str] | None = None,
    layout: Layout = "featherface",
) -> None:
    """Writes the weights of a network, whole or not at all.

    Args:
        network: On any device, in any mode.
        path: Ends in ``.safetensors`` or ``.pth``.
        facts: What should be known about the weights, all of it text.
        layout: "featherface" writes configuration and facts beside the tensors; "published" writes the
            bare tensors under the published names, for other people's code (``.pth`` only).

    Raises:
        ConfigError: The suffix or the layout does not go with the other.
        ModelError: "published" for a part that was never published.
        InputError: The file cannot be written.
    """
    path = Path(path)
    tensors = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    header = {
        "format": "featherface",
        "version": __version__,
        "network": variant_name(network.config),
        "config": json.dumps(network.config.to_dict()),
        "facts": json.dumps(dict(facts or {})),
    }
    if path.suffix == ".safetensors" and layout == "featherface":
        from safetensors.torch import save

        # not its save_file, which makes files that nobody but their owner may read
        write_bytes(path, save(tensors, metadata=header))
    elif path.suffix in (".pth", ".pt"):
        if layout == "published":
            names = published_names(tensors, network.config)
            content: dict[str, Any] = {names[key]: value for key, value in tensors.items()}
        else:
            content = {**header, "state_dict": tensors}
        with replacing(path) as part:
            torch.save(content, part)
    elif layout == "published":
        raise ConfigError(f"{path}: the published layout is a .pth file")
    else:
        raise ConfigError(f"{path}: weights are saved as .safetensors or .pth")


def load_backbone(network: FeatherFace, path: str | Path) -> None:
    """Puts the backbone of another file into a network.

    Args:
        network: Changed in place; everything but its backbone stays.
        path: The ImageNet file ``mobilenetV1X0.25_pretrain.tar``, whose classifier is left out, or any
            checkpoint that `read_checkpoint` reads.

    Raises:
        CheckpointError: The file is neither.
    """
    path = Path(path)
    tensors, metadata = _read_tensors(path)
    _check_finite(path, tensors)
    ours = _shapes(network.config, "featherface")
    wanted = {key: shape for key, shape in ours.items() if key.startswith("backbone.")}
    if not metadata and is_imagenet_backbone(tensors):
        names = published_names(wanted, network.config)
        body = {f"body.{key}": value for key, value in tensors.items() if not key.startswith("fc.")}
        _compare(path, "MobileNetV1 × 0.25", body, {names[key]: shape for key, shape in wanted.items()})
        found = {key: body[names[key]] for key in wanted}
    else:
        source = read_checkpoint(path).tensors
        found = {key: source[key] for key in wanted}
    network.backbone.load_state_dict({key.removeprefix("backbone."): value for key, value in found.items()})


def is_imagenet_backbone(tensors: Mapping[str, Tensor]) -> bool:
    """Whether these are the tensors of the ImageNet classifier that the backbone starts from."""
    return "stage1.0.0.weight" in tensors and "fc.weight" in tensors


def _read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors under the names of the file, and the metadata of our own format (empty for others)."""
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except FileNotFoundError:
        raise CheckpointError(path, "no such file") from None
    except IsADirectoryError:
        raise CheckpointError(path, "is a folder; name the checkpoint file in it") from None
    except OSError as error:
        raise CheckpointError(path, f"cannot be read ({error.strerror})") from error
    if filetype.is_safetensors(head):
        return _read_safetensors(path)
    if filetype.is_zip(head) or filetype.is_pickle(head):
        return _read_pickle(path, zipped=filetype.is_zip(head))
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
            path, f"is damaged or truncated ({_one_line(error)}); get the file again"
        ) from error
    return _clean(tensors), _own_metadata(path, metadata)


def _read_pickle(path: Path, *, zipped: bool) -> tuple[dict[str, Tensor], dict[str, Any]]:
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
        if zipped and not zipfile.is_zipfile(path):
            raise CheckpointError(path, "is truncated; get the file again") from error
        raise CheckpointError(path, f"cannot be read as a checkpoint ({_one_line(error)})") from error
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


def _config_from(path: Path, metadata: dict[str, Any]) -> NetworkConfig:
    try:
        return NetworkConfig.from_dict(metadata["config"])
    except (ConfigError, TypeError) as error:
        raise CheckpointError(
            path, f"describes a network that this version cannot build ({error}); upgrade featherface"
        ) from error


def _recognise(path: Path, tensors: dict[str, Tensor]) -> Checkpoint:
    """Finds the published network, and the layout, whose keys and shapes are exactly these."""
    have = {key: tuple(value.shape) for key, value in tensors.items()}
    best: tuple[int, str, Layout] = (-1, "", "published")
    for name, config in VARIANTS.items():
        for layout in ("published", "featherface"):
            need = _shapes(config, layout)
            if need == have:
                if layout == "published":
                    names = published_names(_shapes(config, "featherface"), config)
                    tensors = {ours: tensors[theirs] for ours, theirs in names.items()}
                return Checkpoint(config, tensors, layout=layout)
            common = sum(have.get(key) == shape for key, shape in need.items())
            best = max(best, (2 * common - len(need), name, layout))
    if is_imagenet_backbone(tensors):
        raise CheckpointError(
            path, "holds an ImageNet backbone, not a detector; it can only start a training"
        )
    score, name, layout = best
    if score <= 0:
        first = ", ".join(list(tensors)[:3])
        raise CheckpointError(
            path, f"holds another network than FeatherFace ({len(tensors)} tensors: {first}, …)"
        )
    _compare(path, name, tensors, _shapes(VARIANTS[name], layout))
    raise AssertionError("shapes are equal after all")


def _compare(path: Path, network: str, tensors: Mapping[str, Tensor], need: Shapes) -> None:
    have = {key: tuple(value.shape) for key, value in tensors.items()}
    if have == need:
        return
    raise KeyMismatchError(
        path,
        network=network,
        missing=[key for key in need if key not in have],
        unexpected=[key for key in have if key not in need],
        misshaped=[(key, have[key], need[key]) for key in need if key in have and have[key] != need[key]],
    )


@functools.lru_cache(maxsize=32)
def _shapes(config: NetworkConfig, layout: Layout) -> Shapes:
    """Key and shape of everything a network keeps; built without memory for the weights."""
    with torch.device("meta"):
        shapes = {key: tuple(value.shape) for key, value in build_network(config).state_dict().items()}
    if layout == "featherface":
        return shapes
    names = published_names(shapes, config)
    return {names[key]: shape for key, shape in shapes.items()}


def _check_finite(path: Path, tensors: Mapping[str, Tensor]) -> None:
    for key, value in tensors.items():
        if value.is_floating_point() and not value.isfinite().all():
            raise CheckpointError(
                path, f"{key} holds values that are not finite; the training it comes from failed"
            )


def _enumerate(what: str, keys: list[str]) -> str:
    if not keys:
        return ""
    more = f" and {len(keys) - NAMED_KEYS} more" if len(keys) > NAMED_KEYS else ""
    return f"{len(keys)} {what} ({', '.join(keys[:NAMED_KEYS])}{more})"


def _one_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:160]
