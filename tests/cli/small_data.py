"""A data set of tiny photos, drawn on the spot."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ffcore.images import write_image


def labelled(folder: Path, *, photos: int = 6) -> Path:
    """Gray photos with one bright face each, in the RetinaFace layout."""
    rng = np.random.default_rng(0)
    lines = []
    for i in range(photos):
        image = np.full((72, 96, 3), 90, np.uint8)
        x, y, side = (int(value) for value in rng.integers((4, 4, 24), (50, 30, 40)))
        image[y : y + side, x : x + side] = rng.integers(120, 255, 3)
        write_image(folder / "images" / "event" / f"{i}.png", image)
        points = [(0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8)]
        marks = " ".join(f"{x + u * side:.1f} {y + v * side:.1f} 0" for u, v in points)
        lines += [f"# event/{i}.png", f"{x} {y} {side} {side} {marks} 1"]
    (folder / "label.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder
