"""Reading and writing weights: our own format, and every layout in which the networks were published."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from ffcore._version import __version__
from ffcore.config.network import NetworkConfig
from ffcore.errors import CheckpointError, ConfigError
from ffcore.files import replacing, write_bytes
from ffcore.models.featherface import FeatherFace, build_network
from ffcore.models.published import published_names
from ffcore.models.tensor_files import read_tensors
from ffcore.models.variants import VARIANTS, variant_name

Layout = Literal["featherface", "published"]
Shapes = dict[str, tuple[int, ...]]

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
    tensors, metadata = read_tensors(path)
    if metadata:
        config = _config_from(path, metadata)
        _check_shapes(path, variant_name(config), tensors, _shapes(config, "featherface"))
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
    tensors, metadata = read_tensors(path)
    ours = _shapes(network.config, "featherface")
    wanted = {key: shape for key, shape in ours.items() if key.startswith("backbone.")}
    if not metadata and is_imagenet_backbone(tensors):
        names = published_names(wanted, network.config)
        body = {f"body.{key}": value for key, value in tensors.items() if not key.startswith("fc.")}
        _check_shapes(path, "MobileNetV1 × 0.25", body, {names[key]: shape for key, shape in wanted.items()})
        found = {key: body[names[key]] for key in wanted}
    else:
        source = read_checkpoint(path).tensors
        found = {key: source[key] for key in wanted}
    network.backbone.load_state_dict({key.removeprefix("backbone."): value for key, value in found.items()})


def is_imagenet_backbone(tensors: Mapping[str, Tensor]) -> bool:
    """Whether these are the tensors of the ImageNet classifier that the backbone starts from."""
    return "stage1.0.0.weight" in tensors and "fc.weight" in tensors


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
    raise _mismatch(path, name, have, _shapes(VARIANTS[name], layout))


def _check_shapes(path: Path, network: str, tensors: Mapping[str, Tensor], need: Shapes) -> None:
    have = {key: tuple(value.shape) for key, value in tensors.items()}
    if have != need:
        raise _mismatch(path, network, have, need)


def _mismatch(path: Path, network: str, have: Shapes, need: Shapes) -> KeyMismatchError:
    return KeyMismatchError(
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


def _enumerate(what: str, keys: list[str]) -> str:
    if not keys:
        return ""
    more = f" and {len(keys) - NAMED_KEYS} more" if len(keys) > NAMED_KEYS else ""
    return f"{len(keys)} {what} ({', '.join(keys[:NAMED_KEYS])}{more})"
