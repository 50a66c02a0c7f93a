"""The published augmentation: crop, colour, mirror, resize, with few passes over the pixels; and more."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from ffcore.data.colour import ColourConfig, apply_colour, random_colour
from ffcore.data.crop import Square, faces_in, random_square, whole_photo
from ffcore.data.sample import Sample
from ffcore.errors import ConfigError, did_you_mean
from ffcore.geometry import MEAN_BGR
from ffcore.images.decode import read_image
from ffcore.images.encode import encode_image

PUBLISHED_SCALES = (0.3, 0.45, 0.6, 0.8, 1.0)
"""Sides of the crop as shares of the photo's shorter side."""

WIDE_SCALES = (0.3, 0.45, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0)
"""The same and larger ones, padded with the mean, which show faces smaller than the photo does."""

Interpolation = Literal["nearest", "linear", "cubic", "area", "lanczos"]

_METHODS: dict[str, int] = {
    "nearest": cv2.INTER_NEAREST,
    "linear": cv2.INTER_LINEAR,
    "cubic": cv2.INTER_CUBIC,
    "area": cv2.INTER_AREA,
    "lanczos": cv2.INTER_LANCZOS4,
}

_JPEG_QUALITY = (30, 95)  # from plain to see to nearly nothing

_ALIASING = 2.0  # shrinking by more, the two to four pixels that interpolation looks at skip others


@dataclass(frozen=True)
class AugmentConfig:
    """How samples are varied.

    Args:
        sizes: Sides of the square input in pixels; with several, each batch gets one of them.
        crop_scales: Sides of the crop as shares of the photo's shorter side, above 0; see `WIDE_SCALES`.
        colour: Limits of the colour distortion.
        mirror: Probability of mirroring.
        rotation: Largest turn in degrees, 0 to 45, either way; every second picture is turned.
        jpeg: Probability that a picture is compressed as JPEG, with a quality of 30 to 95.
        interpolations: Methods that resizing chooses from, by chance. The published list also has "area" and
            "lanczos", which take ten times as long; a crop that shrinks to less than half is always
            averaged by area.
        smallest_face: Height in pixels of the photo, as small as a cache keeps it, 0 or more. Of lower faces
            strong compression has left nothing to learn from: they count nothing, and their anchors are no
            background either. Faces as low then come from views that shrink the photo.
        box_offset: Pixels of the photo, 0 to 1, by which boxes lie left of what they mean: 0.5 where
            coordinates have been cut off to whole numbers, as those of WIDER FACE. Boxes of mirrored views
            then lie on that side as well, and the network learns where they do by which it is measured.

    Raises:
        ConfigError: A value is impossible.
    """

    sizes: tuple[int, ...] = (640,)
    crop_scales: tuple[float, ...] = PUBLISHED_SCALES
    colour: ColourConfig = field(default_factory=ColourConfig)
    mirror: float = 0.5
    rotation: float = 0.0
    jpeg: float = 0.0
    interpolations: tuple[Interpolation, ...] = ("nearest", "linear", "cubic")
    smallest_face: float = 0.0
    box_offset: float = 0.0

    def __post_init__(self) -> None:
        if not self.sizes or any(size < 32 for size in self.sizes):
            raise ConfigError(f"sizes = {self.sizes}: at least one, each 32 pixels or more, is needed")
        if not self.crop_scales or any(not 0 < scale <= 8 for scale in self.crop_scales):
            raise ConfigError(f"crop_scales = {self.crop_scales}: numbers above 0 and up to 8 are needed")
        for name in ("mirror", "jpeg"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} = {getattr(self, name)}: a probability, 0 to 1, is needed")
        if not 0 <= self.box_offset <= 1:
            raise ConfigError(f"box_offset = {self.box_offset}: 0 to 1 pixels are possible")
        if not 0 <= self.rotation <= 45:
            raise ConfigError(f"rotation = {self.rotation}: 0 to 45 degrees are possible")
        if not self.smallest_face >= 0:
            raise ConfigError(f"smallest_face = {self.smallest_face}: 0 or more is needed")
        known = get_args(Interpolation)
        for name in self.interpolations or ("none",):
            if name not in known:
                raise ConfigError(f"interpolations: {name!r} is unknown; {did_you_mean(name, known)}")


def augment(sample: Sample, config: AugmentConfig, *, size: int, rng: np.random.Generator) -> Sample:
    """One random view of a photo.

    Args:
        sample: The whole photo with its faces. Its pixels are only read where the crop lies.
        config: What may happen.
        size: Side of the result in pixels.
        rng: Where chance comes from; an equal one gives an equal view.

    Returns:
        (size, size, 3) and the faces whose centre it holds, with boxes cut at the borders of what is seen of
        the photo. Landmarks are not cut: where a point beyond the border lies is known. When no crop
        holds a whole face, the whole photo is taken; of a photo without labels any crop will do.
    """
    height, width = sample.image.shape[:2]
    if config.smallest_face:
        heights = sample.faces.boxes[:, 3] - sample.faces.boxes[:, 1]
        sample = replace(sample, faces=sample.faces.weighted(heights >= config.smallest_face))
    square = random_square(
        sample.faces, (height, width), scales=config.crop_scales, anywhere=not sample.labelled, rng=rng
    )
    colour = random_colour(config.colour, rng)
    mirrored = bool(rng.random() < config.mirror)
    method = config.interpolations[int(rng.integers(len(config.interpolations)))]
    # from here on drawn only where it may happen, so that seeds of the published settings give what they gave
    angle = 0.0
    if config.rotation and rng.random() < 0.5:
        angle = float(rng.uniform(-config.rotation, config.rotation))
    seen = view(
        sample,
        square or whole_photo(height, width),
        size=size,
        degrees=angle,
        mirrored=mirrored,
        box_offset=config.box_offset,
        colour=colour,
        interpolation=method,
    )
    if config.jpeg and rng.random() < config.jpeg:
        quality = int(rng.integers(*_JPEG_QUALITY, endpoint=True))
        data = encode_image(seen.image, suffix=".jpg", quality=quality)
        seen = replace(seen, image=read_image(data))
    return seen


def view(
    sample: Sample,
    square: Square,
    *,
    size: int,
    degrees: float = 0.0,
    mirrored: bool = False,
    box_offset: float = 0.0,
    colour: NDArray[np.float32] | None = None,
    interpolation: Interpolation = "linear",
) -> Sample:
    """A square of a photo at another size; what lies beyond the photo has the mean colour.

    Args:
        sample: The photo.
        square: In its pixels; some of it must lie on the photo.
        size: Side of the result in pixels.
        degrees: By how much what is seen turns around the middle of the square, counterclockwise, −45 to 45.
            The corners then show what is around the square, and boxes are those of `LabelledFaces.turned`.
        mirrored: Whether left becomes right, before it turns.
        box_offset: Of mirrored boxes, in pixels of the photo; see `AugmentConfig`.
        colour: (3, 4) map of colours, see `random_colour`; the mean colour around the photo stays as it is.
        interpolation: How pixels are made; "area" whatever is asked for when shrinking by more than 2.

    Raises:
        ConfigError: The square lies beyond the photo.
    """
    if degrees:
        around = _around(square, degrees)
        large = round(size * around.side / square.side)
        wider = view(
            sample,
            around,
            size=large,
            mirrored=mirrored,
            box_offset=box_offset,
            colour=colour,
            interpolation=interpolation,
        )
        return _turned(wider, degrees, size=size)
    height, width = sample.image.shape[:2]
    x1, y1 = max(square.left, 0), max(square.top, 0)
    x2, y2 = min(square.left + square.side, width), min(square.top + square.side, height)
    if x1 >= x2 or y1 >= y2:
        raise ConfigError(f"{square} holds nothing of a photo of {width} × {height} pixels")
    left, columns = _placed(x1 - square.left, x2 - square.left, square.side, size)
    top, rows = _placed(y1 - square.top, y2 - square.top, square.side, size)
    seen = _resized(sample.image[y1:y2, x1:x2], rows, columns, colour, interpolation)
    if (rows, columns) == (size, size):
        image = seen
    else:
        image = np.empty((size, size, 3), np.uint8)
        image[:] = MEAN_BGR
        image[top : top + rows, left : left + columns] = seen
    # Each direction has a scale of its own: the seen part fills whole pixels, so they differ by rounding.
    scale = (columns / (x2 - x1), rows / (y2 - y1))
    faces = faces_in(sample.faces, square).moved(
        scale=scale, shift=(left - x1 * scale[0], top - y1 * scale[1])
    )
    if mirrored:
        image = np.asarray(cv2.flip(image, 1), np.uint8)
        faces, left = faces.mirrored(size, box_offset=box_offset * scale[0]), size - left - columns
    faces = faces.clipped((left, top, left + columns, top + rows))
    return replace(sample, image=image, faces=faces)


def turned_image(
    image: NDArray[np.uint8], matrix: NDArray[np.float64], *, width: int, height: int
) -> NDArray[np.uint8]:
    """The pixels that go with faces which `LabelledFaces.turned` has turned.

    Args:
        image: (H, W, 3).
        matrix: (2, 3), from the coordinates of boxes before to those after.
        width: Of the result in pixels, likewise the height; where nothing falls it has the mean colour.
        height: Likewise.
    """
    # OpenCV counts from the middle of the first pixel, boxes from its corner
    middles = matrix + np.pad(matrix[:, :2].sum(axis=1, keepdims=True) / 2 - 0.5, ((0, 0), (2, 0)))
    turned = cv2.warpAffine(image, middles, (width, height), flags=cv2.INTER_LINEAR, borderValue=MEAN_BGR)
    return np.asarray(turned, np.uint8)


def _around(square: Square, degrees: float) -> Square:
    """What of a photo a square shows when it turns around its middle."""
    angle = math.radians(degrees)
    reach = abs(math.cos(angle)) + abs(math.sin(angle))  # of the turned square, in its sides
    margin = math.ceil(square.side * (reach - 1) / 2)
    return Square(square.left - margin, square.top - margin, square.side + 2 * margin)


def _turned(sample: Sample, degrees: float, *, size: int) -> Sample:
    """A square sample turned around its middle, and of that the middle."""
    side = sample.image.shape[0]
    matrix = np.asarray(cv2.getRotationMatrix2D((side / 2, side / 2), degrees, 1.0), np.float64)
    matrix[:, 2] -= (side - size) / 2
    image = turned_image(sample.image, matrix, width=size, height=size)
    faces = faces_in(sample.faces.turned(matrix), Square(0, 0, size)).clipped((0, 0, size, size))
    return replace(sample, image=image, faces=faces)


def _placed(start: int, stop: int, side: int, size: int) -> tuple[int, int]:
    """First pixel and number of pixels of the result that a part of the square fills."""
    first, last = round(start * size / side), round(stop * size / side)
    first = min(first, size - 1)
    return first, max(last - first, 1)


def _resized(
    region: NDArray[np.uint8],
    rows: int,
    columns: int,
    colour: NDArray[np.float32] | None,
    interpolation: Interpolation,
) -> NDArray[np.uint8]:
    """The region at its new size and in its new colours; colours change on the side with fewer pixels."""
    shrink = max(region.shape[0] / rows, region.shape[1] / columns)
    method = _METHODS["area" if shrink > _ALIASING else interpolation]
    enlarged = rows * columns > region.shape[0] * region.shape[1]
    if colour is not None and enlarged:
        region, colour = apply_colour(region, colour), None
    if region.shape[:2] != (rows, columns):
        region = np.asarray(cv2.resize(region, (columns, rows), interpolation=method), np.uint8)
    return apply_colour(region, colour) if colour is not None else region
