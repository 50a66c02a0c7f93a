"""The columns of a batch as stages hand them on: a dictionary of arrays, one value a photo."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Batch: TypeAlias = dict[str, NDArray[Any]]
"""Name to B values: what ``ray.data.Dataset.map_batches`` gives and takes with ``batch_format="numpy"``."""

NO_PIXELS: NDArray[np.uint8] = np.zeros((0, 0, 3), np.uint8)
"""Stands for a photo that could not be read."""
NO_PIXELS.flags.writeable = False


def column(values: Iterable[Any]) -> NDArray[np.object_]:
    """One value a photo, whatever its shape."""
    listed = list(values)
    result = np.empty(len(listed), dtype=object)
    for i, value in enumerate(listed):  # assigning at once would stack arrays of equal shape
        result[i] = value
    return result


def rows(batch: Mapping[str, NDArray[Any]]) -> int:
    """How many photos a batch has."""
    return len(next(iter(batch.values()))) if batch else 0
