"""Samples made of several: MixUp, CutMix and mosaic. All are optional and off by default."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ffcore.data.annotations import LabelledFaces
from ffcore.data.sample import Sample
from ffcore.errors import ConfigError

Rectangle = tuple[int, int, int, int]
"""x1 y1 x2 y2 in whole pixels."""

FOUND = 0.6
"""A face of which at least this share is seen is still to be found."""

UNSEEN = 0.25
"""A face of which less than this share is seen is gone; between the two it is ignored."""


@dataclass(frozen=True)
class MixConfig:
    """How often samples are mixed; a sample is mixed in one way at most.

    Args:
        mosaic: Probability that a sample is made of four.
        cutmix: Probability that a part is replaced by another sample's.
        mixup: Probability that two samples shine through each other.
        mixup_alpha: Both parameters of the Beta distribution that the shares of MixUp come from; at 0.2 one
            of the two mostly has nearly everything.
        cutmix_alpha: The same for the area that CutMix replaces; 1 makes all areas equally likely.

    Raises:
        ConfigError: Probabilities are negative or sum to more than 1, or an alpha is not above 0.
    """

    mosaic: float = 0.0
    cutmix: float = 0.0
    mixup: float = 0.0
    mixup_alpha: float = 0.2
    cutmix_alpha: float = 1.0

    def __post_init__(self) -> None:
        chances = (self.mosaic, self.cutmix, self.mixup)
        if not all(chance >= 0 for chance in chances) or not sum(chances) <= 1 + 1e-9:
            raise ConfigError(f"mosaic, cutmix and mixup = {chances}: probabilities with a sum of 1 at most")
        for name in ("mixup_alpha", "cutmix_alpha"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} = {getattr(self, name)}: a number above 0 is needed")


def mixup(first: Sample, second: Sample, *, share: float) -> Sample:
    """Two samples of one size shining through each other, with the faces of both.

    Args:
        first: Seen with `share`.
        second: Seen with the rest.
        share: 0..1.

    Returns:
        The mixture. Every face keeps its place, and its weight times the share of its sample; faces of a
        share of 0 are left out.

    Raises:
        ConfigError: Sizes differ, or the share is outside 0..1.

    Source: Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2018.
    """
    _check_sizes(first, second)
    if not 0 <= share <= 1:
        raise ConfigError(f"share = {share}: 0 to 1 is possible")
    image = np.asarray(cv2.addWeighted(first.image, share, second.image, 1 - share, 0), np.uint8)
    parts = [
        sample.faces.weighted(part) for sample, part in ((first, share), (second, 1 - share)) if part > 0
    ]
    return _mixture(image, LabelledFaces.concatenate(parts), of=(first, second))


def cutmix(first: Sample, second: Sample, *, patch: Rectangle) -> Sample:
    """The first sample with a rectangle replaced by what the second has there.

    Args:
        first: What is around the patch.
        second: What is in it.
        patch: In pixels of both.

    Returns:
        Faces of both, by the share of their box that is still seen: 0.6 or more, to be found; less than 0.25,
        gone; between, ignored. Boxes of the second are cut at the patch; those of the first are not, as
        labels of faces behind something are not. Faces of which a landmark got hidden count as without.

    Raises:
        ConfigError: Sizes differ, or the patch is empty or reaches beyond them.

    Source: Yun et al., "CutMix", 2019, whose labels are of whole images; the rule for boxes is ours.
    """
    _check_sizes(first, second)
    height, width = first.image.shape[:2]
    x1, y1, x2, y2 = patch
    if not (0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height):
        raise ConfigError(f"the patch {patch} is empty or reaches beyond {width} × {height} pixels")
    image = first.image.copy()
    image[y1:y2, x1:x2] = second.image[y1:y2, x1:x2]
    under = _share_within(first.faces, patch)
    around = _still_seen(first.faces, 1 - under, shown=~_points_within(first.faces, patch))
    inside = within(second.faces, patch)
    faces = LabelledFaces.concatenate([around, inside])
    return _mixture(image, faces, of=(first, second))


def mosaic(samples: Sequence[Sample], *, centre: tuple[int, int]) -> Sample:
    """Four samples of one size in four quarters that meet at a point.

    Each sample is shrunk until it just fills its quarter, with the corner at the meeting point kept, so faces
    become smaller than any in the photos and no empty area is left.

    Args:
        samples: Upper left, upper right, lower left, lower right; all (S, S, 3).
        centre: x and y of the meeting point in pixels, inside the picture.

    Returns:
        (S, S, 3). Faces that the quarters cut are treated as `cutmix` does inside a patch.

    Raises:
        ConfigError: There are not four, sizes differ, or the centre is at the border or beyond.
    """
    if len(samples) != 4:
        raise ConfigError(f"a mosaic is made of 4 samples, not {len(samples)}")
    for other in samples[1:]:
        _check_sizes(samples[0], other)
    height, width = samples[0].image.shape[:2]
    x, y = centre
    if height != width or not (0 < x < width and 0 < y < height):
        raise ConfigError(f"a mosaic needs squares and a centre inside; got {width} × {height} and {centre}")
    image = np.empty_like(samples[0].image)
    parts = []
    quarters = ((0, 0, x, y), (x, 0, width, y), (0, y, x, height), (x, y, width, height))
    for sample, (x1, y1, x2, y2) in zip(samples, quarters, strict=True):
        side = max(x2 - x1, y2 - y1)
        left, top = (x - side if x1 == 0 else x), (y - side if y1 == 0 else y)
        small = cv2.resize(sample.image, (side, side), interpolation=cv2.INTER_LINEAR)
        image[y1:y2, x1:x2] = small[y1 - top : y2 - top, x1 - left : x2 - left]
        scale = side / width
        faces = sample.faces.moved(scale=(scale, scale), shift=(left, top))
        parts.append(within(faces, (x1, y1, x2, y2)))
    return _mixture(image, LabelledFaces.concatenate(parts), of=samples)


def within(faces: LabelledFaces, window: Rectangle) -> LabelledFaces:
    """Faces as seen through a window, cut at its borders, by the share of them that is seen."""
    shown = _points_within(faces, window)
    return _still_seen(faces, _share_within(faces, window), shown=shown).clipped(window)


def random_patch(size: int, *, alpha: float, rng: np.random.Generator) -> Rectangle:
    """A square part of a picture at a random place, its area drawn from Beta(alpha, alpha).

    Args:
        size: Side of the picture in pixels.
        alpha: Above 0.
        rng: Where chance comes from.

    Returns:
        At least one pixel, inside the picture.
    """
    side = min(max(round(size * float(np.sqrt(rng.beta(alpha, alpha)))), 1), size)
    left, top = (int(start) for start in rng.integers(0, size - side, 2, endpoint=True))
    return left, top, left + side, top + side


def random_centre(size: int, *, rng: np.random.Generator) -> tuple[int, int]:
    """Where the quarters of a mosaic meet: in the middle half of the picture, both ways.

    Args:
        size: Side of the picture in pixels, 4 at least.
        rng: Where chance comes from.
    """
    x, y = rng.integers(size // 4, size - size // 4, 2, endpoint=True)
    return int(x), int(y)


def _share_within(faces: LabelledFaces, window: Rectangle) -> NDArray[np.float32]:
    """(G,) share of each box's area that lies in the window."""
    low, high = np.array(window[:2], np.float32), np.array(window[2:], np.float32)
    sides = np.minimum(faces.boxes[:, 2:], high) - np.maximum(faces.boxes[:, :2], low)
    whole = (faces.boxes[:, 2:] - faces.boxes[:, :2]).prod(axis=1)
    share: NDArray[np.float32] = np.maximum(sides, 0).prod(axis=1) / whole
    return share


def _points_within(faces: LabelledFaces, window: Rectangle) -> NDArray[np.bool_]:
    """(G, 5): landmarks that lie in the window."""
    low, high = np.array(window[:2], np.float32), np.array(window[2:], np.float32)
    inside: NDArray[np.bool_] = np.all((faces.landmarks >= low) & (faces.landmarks < high), axis=-1)
    return inside


def _still_seen(
    faces: LabelledFaces, share: NDArray[np.float32], *, shown: NDArray[np.bool_]
) -> LabelledFaces:
    seen = LabelledFaces(
        boxes=faces.boxes,
        landmarks=faces.landmarks,
        has_landmarks=faces.has_landmarks & np.all(shown, axis=1),
        ignore=faces.ignore | (share < FOUND),
        weights=faces.weights,
    )
    # what is ignored already stays so as long as anything of it is seen
    return seen[np.where(faces.ignore, share > 0, share >= UNSEEN)]


def _mixture(image: NDArray[np.uint8], faces: LabelledFaces, *, of: Sequence[Sample]) -> Sample:
    """What was made of samples; a single one that may lack labels makes it so that all of it may."""
    return Sample(
        image=image,
        faces=faces,
        names=tuple(name for sample in of for name in sample.names),
        labelled=all(sample.labelled for sample in of),
        unread=tuple(photo for sample in of for photo in sample.unread),
    )


def _check_sizes(first: Sample, second: Sample) -> None:
    if first.image.shape != second.image.shape:
        raise ConfigError(
            f"samples to be mixed need one size; got {first.image.shape[:2]} and {second.image.shape[:2]}"
        )
