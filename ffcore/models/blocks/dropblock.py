"""Whole patches of maps left out in training (Ghiasi et al. 2018, DropBlock, algorithm 1)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DropBlock(nn.Module):
    """Sets square patches to zero, each channel for itself, and scales up the rest; only in training.

    Args:
        share: Of the cells that are left out on average, 0 to below 1.
        side: Of a patch in cells, odd.
    """

    def __init__(self, share: float = 0.1, side: int = 3) -> None:
        super().__init__()
        self.share = share
        self.side = side

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W) -> (B, C, H, W)
        """Leaves out patches; a map smaller than a patch stays as it is."""
        if not self.training or not self.share or min(x.shape[2:]) < self.side:
            return x
        # Each centre hides side² cells unless patches overlap: then a cell stays with (1 − p)^(side²).
        centre = 1 - (1 - self.share) ** (1 / self.side**2)
        centres = (torch.rand_like(x) < centre).to(x.dtype)
        kept = 1 - F.max_pool2d(centres, self.side, stride=1, padding=self.side // 2)
        return x * kept * (kept.numel() / kept.sum().clamp(min=1))
