"""Small networks and batches that the tests of distillation share."""

from __future__ import annotations

import torch
from torch import Tensor

from ffcore.config import NetworkConfig
from ffcore.geometry import anchor_count
from ffcore.models.blocks.heads import RawOutputs
from ffcore.models.featherface import FeatherFace, build_network
from ffcore.models.variants import VARIANTS
from tests.models.random_weights import random_network

SIDE = 64
ANCHORS = anchor_count(SIDE, SIDE)


def student(config: NetworkConfig = VARIANTS["v2"], *, seed: int = 0) -> FeatherFace:
    torch.manual_seed(seed)
    return build_network(config)


def trained(name: str = "v1") -> FeatherFace:
    """A network whose statistics are not those of a fresh one."""
    return random_network(VARIANTS[name])


def outputs(images: int = 2, *, seed: int = 0, anchors: int = ANCHORS, scale: float = 2.0) -> RawOutputs:
    generator = torch.Generator().manual_seed(seed)
    shapes = [(images, anchors, count) for count in (4, 2, 10)]
    return RawOutputs(*(scale * torch.randn(shape, generator=generator) for shape in shapes))


def background(images: int = 2) -> RawOutputs:
    """A teacher that is quite sure that there is no face."""
    logits = torch.zeros(images, ANCHORS, 2)
    logits[..., 0] = 100.0
    return outputs(images)._replace(logits=logits)


def leaves(values: RawOutputs) -> RawOutputs:
    """The same as leaves that take gradients."""
    return RawOutputs(*(value.clone().requires_grad_() for value in values))


def finite(values: list[Tensor]) -> bool:
    return all(bool(value.isfinite().all()) for value in values)
