"""Photos that are decoded while something else is busy with earlier ones."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ffcore.errors import ImageError
from ffcore.images.decode import read_image

Outcome = NDArray[np.uint8] | ImageError


def read_ahead(paths: Iterable[Path], *, depth: int = 4) -> Iterator[Outcome]:
    """Reads photos in their order, a few of them in the background.

    Args:
        paths: Files as `read_image` takes them.
        depth: How many photos may wait, decoded or about to be; memory is bounded by them.

    Yields:
        For each path the image, (H, W, 3) uint8 BGR, or the error that explains why there is none.
    """
    remaining = iter(paths)
    with ThreadPoolExecutor(max_workers=1) as reader:
        pending: deque[Future[Outcome]] = deque(
            reader.submit(_read, path) for path in islice(remaining, depth)
        )
        try:
            while pending:
                future = pending.popleft()
                pending.extend(reader.submit(_read, path) for path in islice(remaining, 1))
                yield future.result()
        finally:
            # whoever stops early should not wait for photos that nobody will see
            for future in pending:
                future.cancel()


def _read(path: Path) -> Outcome:
    try:
        return read_image(path)
    except ImageError as error:
        return error
