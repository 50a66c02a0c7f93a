"""What the page must know: every number that its scripts share with the library, from the library."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ffcore._version import __version__
from ffcore.detection.detector import PIECE_AREA, PIECE_INSIDE, PIECE_SCORE
from ffcore.detection.options import DetectorOptions
from ffcore.detection.views import CLOSE_UP_FACE, CLOSE_UP_FROM, CLOSE_UP_SIDE
from ffcore.export.web.runtime import PackedBuild
from ffcore.faces import LANDMARK_NAMES
from ffcore.geometry.resize import MEAN_BGR
from ffcore.images.anonymize import CELLS, MARGIN, SMALLEST_CELL

PROGRAM = f"featherface {__version__}"


def page_settings(
    options: DetectorOptions,
    *,
    lowest_score: float,
    model: str,
    model_size: int,
    runtimes: Mapping[str, PackedBuild],
    about: str,
) -> dict[str, Any]:
    """The content of the page's ``settings.json``.

    Args:
        options: How the page looks at photos; its ``score`` is where the slider stands at first.
        lowest_score: The score threshold inside the graph, where the slider ends.
        model: File name of the end-to-end graph.
        model_size: Its bytes.
        runtimes: The builds of the runtime.
        about: One line for the foot of the page.
    """
    return {
        "made_by": PROGRAM,
        "about": about,
        "model": model,
        "runtimes": {
            name: {"script": build.script, "binary": build.binary, "bytes": build.size + model_size}
            for name, build in runtimes.items()
        },
        "score": options.score,
        "lowest_score": lowest_score,
        "nms": options.nms,
        "max_faces": options.max_faces,
        "max_side": options.max_side,
        "multiple": options.multiple,
        "border": list(MEAN_BGR),
        "close_up": {"from": CLOSE_UP_FROM, "side": CLOSE_UP_SIDE, "face": CLOSE_UP_FACE},
        "pieces": {"inside": PIECE_INSIDE, "area": PIECE_AREA, "score": PIECE_SCORE},
        "landmarks": list(LANDMARK_NAMES),
        "hide": {"margin": MARGIN, "cells": CELLS, "smallest_cell": SMALLEST_CELL},
    }
