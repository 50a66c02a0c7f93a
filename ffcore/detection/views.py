"""What of a photo the network gets to see, and at which scale.

Most photos have one view: the whole, at its own size or shrunk. Large ones are looked at again at a
small scale, and on request they are cut into tiles.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ffcore.detection.options import DetectorOptions
from ffcore.faces import Faces
from ffcore.geometry.resize import Resized, ResizePolicy
from ffcore.geometry.tiles import Tile, tiles

# Measured with v1 and WIDER FACE photos, enlarged for the larger sizes. In inputs 1024 pixels wide one
# look finds every face above 300 pixels (132 of 132), at 2048 pixels 54 of 72, at 3072 pixels 7 of 24; what
# is missed is higher than 700 pixels. A second look finds all of them, adds no false box and 3 % of time.
# Its side hardly matters: 256 to 640 pixels find the same faces.

CLOSE_UP_FROM = 1024
"""A second look pays when the first has a longer side than this, pixels."""

CLOSE_UP_SIDE = 480
"""Longer side of the second look, pixels."""

CLOSE_UP_FACE = 512
"""Height that a face of the second look must have had in the first one to count: the largest anchor."""


@dataclass(frozen=True, eq=False)
class View:
    """A part of a photo as an input of the network.

    Args:
        resized: The input and its scale.
        tile: The part that is seen, or None for the whole photo.
        smallest: Faces less high than this, in photo pixels, do not count.
        mirrored_width: Width of the photo when the input shows its mirror image.
    """

    resized: Resized
    tile: Tile | None = None
    smallest: float = 0.0
    mirrored_width: int | None = None

    def faces_in_photo(self, faces: Faces) -> Faces:
        """Those of the faces found in the input that this view is responsible for, in photo pixels."""
        found = self.resized.to_photo(faces)
        if self.tile is not None:
            found = found.transformed(shift=(self.tile.x1, self.tile.y1))
            found = found[self.tile.owns(found.boxes)]
        if self.smallest:
            found = found[found.sizes[:, 1] >= self.smallest]
        return found if self.mirrored_width is None else found.mirrored(self.mirrored_width)


def views(
    image: NDArray[np.uint8], *, options: DetectorOptions, size: tuple[int, int] | None = None
) -> Iterator[View]:
    """All views of a photo, made one by one; the first whole one tells the scale of the detection.

    Args:
        image: (H, W, 3) uint8 BGR.
        options: What was asked for.
        size: Height and width that the network insists on, or None.

    Yields:
        At least one view.
    """
    yield from _upright_views(image, options, size or options.input_size)
    if options.mirror:
        mirror = np.ascontiguousarray(image[:, ::-1])
        for view in _upright_views(mirror, options, size or options.input_size):
            yield replace(view, mirrored_width=image.shape[1])


def _upright_views(
    image: NDArray[np.uint8], options: DetectorOptions, size: tuple[int, int] | None
) -> Iterator[View]:
    height, width = image.shape[:2]
    if options.tile is not None and max(height, width) > options.tile:
        yield from _tiled(image, options.tile, size)
        return
    if options.short_sides and size is None:
        for side in options.short_sides:
            yield View(
                ResizePolicy(short_side=side, max_side=options.max_side, multiple=options.multiple).apply(
                    image
                )
            )
        return
    policy = (
        ResizePolicy(size=size)
        if size
        else ResizePolicy(max_side=options.max_side, multiple=options.multiple)
    )
    first = policy.apply(image)
    yield View(first)
    if options.close_ups and size is None and max(first.height, first.width) > CLOSE_UP_FROM:
        second = ResizePolicy(max_side=CLOSE_UP_SIDE).apply(image)
        yield View(second, smallest=CLOSE_UP_FACE / first.scale_y)


def _tiled(image: NDArray[np.uint8], side: int, size: tuple[int, int] | None) -> Iterator[View]:
    """Tiles at full size, and the whole photo for the faces that no tile holds."""
    height, width = image.shape[:2]
    overlap = side // 4
    for tile in tiles(height, width, size=side, overlap=overlap):
        yield View(ResizePolicy(size=size).apply(tile.cut(image)), tile=tile)
    # No larger than what one look is enough for, or the largest faces would be missed here too.
    whole = ResizePolicy(size=size) if size else ResizePolicy(max_side=min(side, CLOSE_UP_FROM))
    yield View(whole.apply(image), smallest=overlap * 0.75)
