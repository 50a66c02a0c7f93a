"""A folder of small photos with bright squares for faces, labelled in the RetinaFace layout."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ffcore.config.layers import Layer
from ffcore.training.run_config import RunConfig, preset, resolve_run

SIDE = 96


def write_photos(folder: Path, count: int = 8, *, seed: int = 0) -> Path:
    """Photos ``event/n.png`` with one to three faces each, below ``images``, and ``label.txt``."""
    random = np.random.default_rng(seed)
    lines = []
    for number in range(count):
        image = random.integers(0, 60, (SIDE, SIDE, 3), dtype=np.uint8)
        name = f"event/{number}.png"
        lines.append(f"# {name}")
        for quarter in random.permutation(4)[: random.integers(1, 4)]:
            side = int(random.integers(20, 36))
            x, y = (int(v) for v in random.integers(2, 10, 2) + np.array([quarter % 2, quarter // 2]) * 46)
            cv2.rectangle(image, (x, y), (x + side, y + side), (200, 220, 210), -1)
            eye = side // 5
            points = [(x + eye, y + eye), (x + side - eye, y + eye), (x + side // 2, y + side // 2)]
            points += [(x + eye, y + side - eye), (x + side - eye, y + side - eye)]
            for point in points:
                cv2.circle(image, point, 2, (30, 20, 60), -1)
            marks = " ".join(f"{px:.1f} {py:.1f} 0.0" for px, py in points)
            lines.append(f"{x} {y} {side} {side} {marks} 0.9")
        path = folder / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), image)
    (folder / "label.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def toy_config(folder: Path, **values: object) -> RunConfig:
    """A short run of v2 on such photos; ``section__field=value`` changes it."""
    chosen: dict[str, object] = {
        "data.path": str(folder),
        "data.batch_size": 2,
        "data.workers": 0,
        "data.holdout": 0.25,
        "augment.sizes": [SIDE],
        "validation.size": SIDE,
        "train.epochs": 3,
    }
    chosen |= {name.replace("__", "."): value for name, value in values.items()}
    return resolve_run([preset("v2"), Layer("test", chosen)]).config
