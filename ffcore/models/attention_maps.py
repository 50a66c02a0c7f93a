"""Where a network looks: the factors of its attention gates for given images."""

from __future__ import annotations

import torch
from torch import Tensor

from ffcore.errors import ModelError
from ffcore.models.blocks.attention import Gate
from ffcore.models.featherface import FeatherFace


def get_attention_maps(network: FeatherFace, images: Tensor) -> dict[str, Tensor]:
    """The attention factors of one forward pass.

    Args:
        network: One with attention, in any mode; it is run in evaluation mode, without gradients, and
            left in the mode it had.
        images: (B, 3, H, W) float, BGR minus the mean.

    Returns:
        By ``place/level/kind``, for instance ``backbone_attention/c3/channel`` (B, C, 1, 1),
        ``pyramid_attention/p4/spatial`` (B, 1, H/16, W/16), ``context_attention/p5/horizontal``
        (B, C, H/32, 1) and ``…/vertical`` (B, C, 1, W/32). All values lie between 0 and 1.

    Raises:
        ModelError: The network has no attention (v1 has none, whatever its documents say).
    """
    gates = {name: module for name, module in network.named_modules() if isinstance(module, Gate)}
    if not gates:
        raise ModelError("this network has no attention; v1-original, v2 and v2-ca have")
    seen: dict[str, list[Tensor]] = {name: [] for name in gates}
    handles = [
        gate.register_forward_pre_hook(lambda _, inputs, name=name: seen[name].append(inputs[0]))
        for name, gate in gates.items()
    ]
    training = network.training
    try:
        network.eval()
        with torch.no_grad():
            network(images)
            maps: dict[str, Tensor] = {}
            for name, inputs in seen.items():
                place, number = name.split(".")[0], int(name.rpartition(".")[2])
                letter = "c" if place == "backbone_attention" else "p"
                # a gate that all levels share has number 0 and was called once a level, in their order
                for level, x in enumerate(inputs, start=number + 3):
                    for kind, factor in gates[name].maps(x).items():
                        maps[f"{place}/{letter}{level}/{kind}"] = factor
            return maps
    finally:
        network.train(training)
        for handle in handles:
            handle.remove()
