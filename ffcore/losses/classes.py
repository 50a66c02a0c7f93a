"""What it costs to take an anchor for face or background: mined cross-entropy, or focal over all anchors."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ffcore.errors import ConfigError
from ffcore.models.blocks.heads import LevelHead

ClassLossKind = Literal["hard-negatives", "focal", "quality-focal"]


@torch.no_grad()
def hardest_negatives(losses: Tensor, taboo: Tensor, *, wanted: Tensor) -> Tensor:
    """The background anchors with the largest loss, image by image.

    Args:
        losses: (B, A) float, loss of each anchor as background, or anything that grows with it.
        taboo: (B, A) bool: anchors that are no background, as those of faces.
        wanted: (B,) int64, 0 or more: how many of each image; at most A − 1 are taken.

    Returns:
        (N,) int64, anchors numbered through all images, image by image; never one that is `taboo`.
    """
    wanted = wanted[:, None].clamp(max=taboo.shape[1] - 1)
    most = int(wanted.max()) if wanted.numel() else 0
    values, anchors = losses.masked_fill(taboo, -torch.inf).topk(most, dim=1)
    taken = (torch.arange(most, device=taboo.device) < wanted) & (values > -torch.inf)
    start = torch.arange(len(taboo), device=taboo.device)[:, None] * taboo.shape[1]
    return (start + anchors)[taken]


def focal_losses(difference: Tensor, *, face: bool, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Focal loss of anchors that are all faces, or all background (Lin et al. 2017, equation 5).

    Args:
        difference: Any shape, float32: logit of face − logit of background.
        face: What they are.
        alpha: Weight of faces; that of background is 1 − alpha.
        gamma: How much less an anchor counts that is right already; 0 is cross-entropy.

    Returns:
        Of the same shape.
    """
    towards = difference if face else -difference
    # the power through the logarithm, whose gradient has no 0 to divide by
    doubt = torch.exp(gamma * F.logsigmoid(-towards))
    return (alpha if face else 1 - alpha) * doubt * F.softplus(-towards)


def quality_focal_losses(difference: Tensor, quality: Tensor | None, *, beta: float = 2.0) -> Tensor:
    """Quality focal loss (Li et al. 2020, Generalized Focal Loss, equation 6).

    Args:
        difference: Any shape, float32: logit of face − logit of background.
        quality: Of the same shape, 0 to 1: what the probability shall be; None is 0 everywhere.
        beta: How much less an anchor counts that is right already, 1 or more; 0 would be cross-entropy.

    Returns:
        Of the same shape.
    """
    if quality is None:
        return torch.exp(beta * F.logsigmoid(difference)) * F.softplus(difference)
    wrong = (torch.sigmoid(difference) - quality).abs()
    return wrong.pow(beta) * (F.softplus(difference) - quality * difference)


def set_prior(network: nn.Module, probability: float = 0.01) -> None:
    """Makes fresh heads take every anchor for background, which the focal losses need (Lin et al. 2017, 4.1).

    Heads that start at one half make thousands of background anchors together hundreds of times as loud as
    the faces. Mined negatives need no prior, and trained heads must keep what they have learnt.

    Args:
        network: A network or its heads; the biases of its class logits are set.
        probability: Of a face, by the biases alone.

    Raises:
        ConfigError: The probability is not between 0 and 1, or the network has no heads.
    """
    if not 0 < probability < 1:
        raise ConfigError(f"probability = {probability}: a value between 0 and 1 is needed")
    heads = [module for module in network.modules() if isinstance(module, LevelHead)]
    if not heads:
        raise ConfigError(f"{type(network).__name__} has no heads of FeatherFace whose prior could be set")
    half = math.log(probability / (1 - probability)) / 2
    for head in heads:
        bias = head.logits.bias
        assert bias is not None
        with torch.no_grad():
            bias.copy_(bias.new_tensor([-half, half]).repeat(len(bias) // 2))
