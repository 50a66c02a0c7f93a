"""Small ground truths in the layout of the official files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import scipy.io

Faces = Sequence[tuple[float, float, float, float]]


def cells(values: Sequence[object]) -> np.ndarray:
    column = np.empty((len(values), 1), dtype=object)
    for i, value in enumerate(values):
        column[i, 0] = value
    return column


def write_ground_truth(folder: Path, events: Mapping[str, Mapping[str, Faces]]) -> None:
    """The four files; every face is kept in every subset."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "event_list": cells(list(events)),
        "file_list": cells([cells(list(images)) for images in events.values()]),
        "face_bbx_list": cells(
            [
                cells([np.array(faces, np.int32).reshape(-1, 4) for faces in images.values()])
                for images in events.values()
            ]
        ),
    }
    scipy.io.savemat(folder / "wider_face_val.mat", content)
    kept = cells(
        [
            cells([np.arange(1, len(faces) + 1, dtype=np.uint8)[:, None] for faces in images.values()])
            for images in events.values()
        ]
    )
    for subset in ("easy", "medium", "hard"):
        scipy.io.savemat(folder / f"wider_{subset}_val.mat", {**content, "gt_list": kept})
