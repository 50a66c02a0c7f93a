"""Random brightness, contrast, saturation, hue, white balance and gray as one affine map of colour."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ffcore.errors import ConfigError

_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
_BGR_TO_YIQ = _TO_YIQ[:, ::-1]
_YIQ_TO_BGR = np.linalg.inv(_BGR_TO_YIQ)


@dataclass(frozen=True)
class ColourConfig:
    """How far colours are distorted; each way for every second picture, as published for the first four.

    Args:
        brightness: Largest value added to all channels or taken away, 0..255.
        contrast: Largest share that all channels are multiplied by above or below 1, 0..1.
        saturation: The same for the distance from gray.
        hue: Largest turn of colours around gray, degrees, 0..180.
        balance: Largest share that each channel by itself is multiplied by above or below 1, 0..1, as light
            of another colour does.
        gray: Probability that all colour is lost, whatever else happens, 0..1.
        probability: Of each of the others; with 0, and no gray, colours stay.

    Raises:
        ConfigError: A value is outside its range.
    """

    brightness: float = 32.0
    contrast: float = 0.5
    saturation: float = 0.5
    hue: float = 36.0  # 18 of the 180 steps that OpenCV's 8-bit hue has
    balance: float = 0.0
    gray: float = 0.0
    probability: float = 0.5

    def __post_init__(self) -> None:
        limits = {"brightness": 255, "contrast": 1, "saturation": 1, "hue": 180}
        limits |= dict.fromkeys(("balance", "gray", "probability"), 1)
        for name, limit in limits.items():
            if not 0 <= getattr(self, name) <= limit:
                raise ConfigError(f"{name} = {getattr(self, name)}: 0 to {limit} is possible")


def random_colour(config: ColourConfig, rng: np.random.Generator) -> NDArray[np.float32] | None:
    """Draws a distortion.

    The published code turns colours to HSV and back, and clips after every step. Here hue turns and
    saturation stretches the colour plane of YIQ, so that all four steps are affine and become a single
    matrix: one pass over the pixels instead of six, and nothing is clipped before the end.

    Args:
        config: Limits.
        rng: Where chance comes from; as many draws are made whatever happens, for one `config`.

    Returns:
        (3, 4) float32 for `apply_colour`: BGR and 1 to BGR; or None when nothing changes.
    """
    happens = rng.random(4) < config.probability
    brightness, contrast, saturation, hue = rng.uniform(-1, 1, 4)
    contrast_first = bool(rng.random() < 0.5)
    # drawn only where they may happen, so that a seed still gives what it gave before there were these two
    gray = bool(config.gray and rng.random() < config.gray)
    channels = np.ones(3)
    if config.balance:
        balanced, shares = rng.random() < config.probability, rng.uniform(-1, 1, 3)
        channels += balanced * config.balance * shares
    if not (happens.any() or gray or (channels != 1).any()):
        return None
    gain = 1 + contrast * config.contrast if happens[1] else 1.0
    added = brightness * config.brightness if happens[0] else 0.0
    stretch = 1 + saturation * config.saturation if happens[2] else 1.0
    if gray:
        stretch, channels = 0.0, np.ones(3)
    angle = np.deg2rad(hue * config.hue) if happens[3] else 0.0
    c, s = stretch * np.cos(angle), stretch * np.sin(angle)
    chroma = _YIQ_TO_BGR @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) @ _BGR_TO_YIQ
    # gray is left as it is by `chroma`, so that it does not matter when the constant is added
    constant = added if contrast_first else added * gain
    chroma *= gain * channels[:, None]
    return np.concatenate([chroma, np.full((3, 1), constant)], axis=1).astype(np.float32)


def apply_colour(image: NDArray[np.uint8], matrix: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A new image with every colour mapped, rounded and kept within 0..255.

    Args:
        image: (H, W, 3) uint8, BGR.
        matrix: (3, 4), see `random_colour`.
    """
    return np.asarray(cv2.transform(image, matrix), np.uint8)
