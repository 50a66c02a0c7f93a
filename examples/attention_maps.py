"""Show where a network looks: its spatial attention as heat maps over a photo.

    python examples/attention_maps.py MODEL PHOTO [--out FOLDER]

MODEL is a checkpoint of v1-original or v2 (spatial attention) or v2-ca (rows and columns).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from ffcore import get_attention_maps, load_network, read_image, write_image

MEAN = np.array([104, 117, 123], np.float32)


def heat(factor: Tensor, image: np.ndarray) -> np.ndarray:
    """A map of any resolution as colours over the image: blue is low, red is high."""
    values = (
        factor[0].mean(dim=0).numpy()
    )  # over channels; (H, W), or (H, 1) and (1, W) of coordinate attention
    low, high = values.min(), values.max()
    scaled = (255 * (values - low) / max(high - low, 1e-6)).astype(np.uint8)
    size = (image.shape[1], image.shape[0])
    colours = cv2.applyColorMap(cv2.resize(scaled, size, interpolation=cv2.INTER_LINEAR), cv2.COLORMAP_JET)
    return cv2.addWeighted(image, 0.5, colours, 0.5, 0)


def main() -> None:
    """Runs the example."""
    parser = argparse.ArgumentParser(description="Draw attention maps over a photo.")
    parser.add_argument("model", type=Path)
    parser.add_argument("photo", type=Path)
    parser.add_argument("--out", type=Path, default=Path("attention"))
    options = parser.parse_args()

    image = read_image(options.photo)
    pixels = torch.from_numpy((image.astype(np.float32) - MEAN).transpose(2, 0, 1)[None].copy())
    for name, factor in get_attention_maps(load_network(options.model), pixels).items():
        if name.endswith("channel"):
            continue  # one number a channel: nothing to draw over a photo
        target = options.out / f"{name.replace('/', '-')}.png"
        write_image(target, heat(factor, image))
        print(f"{target}: {float(factor.min()):.3f} to {float(factor.max()):.3f}")


if __name__ == "__main__":
    main()
