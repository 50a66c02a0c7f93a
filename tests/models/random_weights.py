"""Weights that anyone can make again: each tensor comes from a generator seeded with its published name."""

from __future__ import annotations

import hashlib
import re
import zlib

import numpy as np
import torch

from ffcore.config import NetworkConfig
from ffcore.models.featherface import FeatherFace, build_network
from ffcore.models.published import published_names

BATCH_NORM = re.compile(
    r"(^body\.stage\d\.\d\.[14]|\.bn\d?|_cbam\.SpatialGate\.spatial\.bn|spatial_gate\.spatial\.1|bn_transform"
    r"|down_channel(_2)?\.1|ssh\d\.conv\dX\d(_\d)?\.1|ssh\d\.conv7x7_3\.1|ssh\d\.conv\dx\d(_\d)?\.[14]"
    r"|ssh\d_cs\.[246]|ssh\d_cs\.conv\.[14])\.(weight|bias)$"
)


def random_tensor(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The value of one published key."""
    u = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode()))).random(shape)
    s = 2 * u - 1
    last = name.rpartition(".")[2]
    if last == "num_batches_tracked":
        return np.ones(shape, np.int64)
    if last == "running_mean":
        value = 0.5 * s
    elif last == "running_var":
        value = 0.5 + u
    elif BATCH_NORM.search(name):
        value = 0.5 + u if last == "weight" else 0.3 * s
    elif last in ("p4_w1", "p3_w1", "p4_w2", "p5_w2"):
        value = 0.2 + u
        if name == "bifpn.1.p4_w1":
            value[1] = -value[1]
    elif last == "bias":
        value = 0.2 * s
    else:
        value = s * np.sqrt(6 / np.prod(shape[1:]))
        if name == "body.stage1.0.0.weight":
            value = value / 64
        head = "Head" in name.split(".")[0] or "_head." in name or name.startswith("shared_heads")
        if "offset_conv" in name or head:
            value = value * 0.5
    return np.asarray(value, np.float32)


def random_network(config: NetworkConfig) -> FeatherFace:
    """A network with these weights, in evaluation mode."""
    network = build_network(config)
    state = network.state_dict()
    names = published_names(state, config)
    network.load_state_dict(
        {key: torch.from_numpy(random_tensor(names[key], tuple(value.shape))) for key, value in state.items()}
    )
    return network.eval()


def fingerprint(network: FeatherFace) -> str:
    """SHA-256 over the sorted published keys and their float32 bytes, counters left out."""
    state = network.state_dict()
    ours = {theirs: key for key, theirs in published_names(state, network.config).items()}
    digest = hashlib.sha256()
    for name in sorted(ours):
        if not name.endswith("num_batches_tracked"):
            digest.update(name.encode())
            digest.update(state[ours[name]].numpy().astype("<f4").tobytes())
    return digest.hexdigest()
