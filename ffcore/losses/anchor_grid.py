"""The anchors of one image size as tensors, and those near a box without a look at all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ffcore.geometry.anchors import PUBLISHED, AnchorConfig, anchors


@dataclass(frozen=True)
class Level:
    """The anchors of one stride, in the order row, column, size.

    Args:
        start: Number of its first anchor.
        stride: Pixels per cell.
        rows: Of cells.
        columns: Of cells.
        sizes: Anchors of a cell.
    """

    start: int
    stride: int
    rows: int
    columns: int
    sizes: int

    def __len__(self) -> int:
        return self.rows * self.columns * self.sizes


class Pairs(NamedTuple):
    """P pairs of a box and an anchor, box by box."""

    box: Tensor
    """(P,) int64: number of the box."""
    anchor: Tensor
    """(P,) int64: number of the anchor."""
    value: Tensor
    """(P,) float32: their IoU, or what else was asked for."""


@dataclass(frozen=True, eq=False)
class AnchorGrid:
    """A anchors in levels, each a grid of rows, columns and sizes; S sizes over all levels.

    What a box shares with anchors of one size is a product: of a length that depends on the column, largest
    near the middle of the box, and of one that depends on the row. So the anchors that share some area are
    found in a rectangle of the grid, by arithmetic.

    Args:
        height: Of the image, pixels.
        width: Likewise.
        levels: Where the anchors of each stride stand in the table.
        table: (A, 4) float32, cx cy w h relative to the image.
        corners: (A, 4) float32, the same as xyxy.
        first: (S,) int64, number of the anchor of the first row and column.
        steps: (S, 2) int64, anchors from one column and from one row to the next.
        counts: (S, 2) int64, columns and rows.
        pitch: (S, 2) float32, from one column and from one row to the next, relative to the image.
        sides: (S, 2) float32, of an anchor.
    """

    height: int
    width: int
    levels: tuple[Level, ...]
    table: Tensor
    corners: Tensor
    first: Tensor
    steps: Tensor
    counts: Tensor
    pitch: Tensor
    sides: Tensor

    @classmethod
    def of(
        cls,
        height: int,
        width: int,
        *,
        config: AnchorConfig = PUBLISHED,
        device: torch.device | str | None = None,
    ) -> AnchorGrid:
        """The grid of an image size.

        Args:
            height: Of the network's input, pixels.
            width: Likewise.
            config: Sizes and strides.
            device: Where the tensors go.

        Raises:
            ConfigError: The image has no pixels.
        """
        table = torch.from_numpy(anchors(height, width, config).copy())
        levels, start = [], 0
        for stride, sizes in zip(config.strides, config.min_sizes, strict=True):
            level = Level(start, stride, -(-height // stride), -(-width // stride), len(sizes))
            levels.append(level)
            start += len(level)
        kinds = [(level, size) for level in levels for size in range(level.sizes)]
        first = torch.tensor([level.start + size for level, size in kinds])
        tensors = (
            table,
            torch.cat([table[:, :2] - table[:, 2:] / 2, table[:, :2] + table[:, 2:] / 2], dim=1),
            first,
            torch.tensor([(level.sizes, level.sizes * level.columns) for level, _ in kinds]),
            torch.tensor([(level.columns, level.rows) for level, _ in kinds]),
            torch.tensor([(level.stride / width, level.stride / height) for level, _ in kinds]),
            table[first, 2:],
        )
        return cls(height, width, tuple(levels), *(tensor.to(device) for tensor in tensors))

    def __len__(self) -> int:
        return len(self.table)

    def importance(self, balance: float) -> Tensor:
        """How much each anchor counts where large ones shall count more: (s / 32)^balance.

        s is the side in pixels of a square as large as the anchor. Of the faces of WIDER FACE, as crops bring
        them to a network of 320 to 640 pixels, 5 in 100 are 90 pixels high or more, and 11 in 100 positive
        anchors are theirs, yet in the subset Easy 44 in 100 faces are.

        Args:
            balance: 0 lets all count 1, 1 lets them count by their side.

        Returns:
            (A,) float32.
        """
        sides = (self.table[:, 2] * self.width * self.table[:, 3] * self.height).sqrt()
        return (sides / 32) ** balance

    def iou_pairs(self, boxes: Tensor, *, threshold: float) -> Pairs:
        """The anchors that overlap each box by `threshold`, or as much as any does if that is less.

        All such pairs are there, and a few others; none of a box that overlaps no anchor.

        Args:
            boxes: (N, 4) float32, xyxy relative to the image, with area.
            threshold: IoU, above 0.

        Returns:
            Pairs and their IoU.
        """
        areas = _area(boxes[:, 2:] - boxes[:, :2])[:, None] + _area(self.sides)  # (N, S)
        most = self._most(boxes)
        inter = _area(most)
        best = (inter / (areas - inter)).amax(dim=1, keepdim=True)
        enough = best.clamp(max=threshold)
        # IoU >= t where the intersection is t / (1 + t) of both areas or more
        least = torch.where(best > 0, enough / (1 + enough) * areas, torch.inf)
        pairs, kind = self._reaching(boxes, most, least)
        return pairs._replace(value=pairs.value / (areas[pairs.box, kind] - pairs.value))

    def coverage_pairs(self, boxes: Tensor, *, share: float) -> Pairs:
        """The anchors of which a share of the area lies in a box.

        Args:
            boxes: (N, 4) float32, xyxy relative to the image.
            share: Above 0, up to 1.

        Returns:
            Pairs and the share, which is never less.
        """
        area = _area(self.sides)
        pairs, kind = self._reaching(boxes, self._most(boxes), (share * area).expand(len(boxes), -1))
        value = pairs.value / area[kind]
        kept = value >= share
        return Pairs(pairs.box[kept], pairs.anchor[kept], value[kept])

    def iou(self, boxes: Tensor, anchors: Tensor) -> Tensor:
        """IoU of each box with some anchors of its own.

        Args:
            boxes: (N, 4) float32, xyxy relative to the image, with area.
            anchors: (N, K) int64, numbers of anchors.

        Returns:
            (N, K).
        """
        inter = _intersection(boxes[:, None], self.corners[anchors])
        areas = _area(boxes[:, 2:] - boxes[:, :2])[:, None] + _area(self.table[anchors][..., 2:])
        return inter / (areas - inter)

    def nearest(self, boxes: Tensor, *, cells: int) -> Tensor:
        """The anchors of the cells of every level that are nearest to the centre of each box, in pixels.

        Args:
            boxes: (N, 4) float32, xyxy relative to the image.
            cells: Of each level, 1 or more; all anchor sizes of a cell count.

        Returns:
            (N, K) int64, numbers of anchors.
        """
        return torch.cat([self._nearest(boxes, level, cells) for level in self.levels], dim=1)

    def inside(self, boxes: Tensor, anchors: Tensor) -> Tensor:
        """Which anchors have their centre in a box.

        Args:
            boxes: (N, 4) float32, xyxy relative to the image.
            anchors: (N, K) int64, numbers of anchors.

        Returns:
            (N, K) bool.
        """
        centres = self.table[anchors, :2]
        return ((centres > boxes[:, None, :2]) & (centres < boxes[:, None, 2:])).all(dim=2)

    def _nearest(self, boxes: Tensor, level: Level, cells: int) -> Tensor:
        middle = (boxes[:, :2] + boxes[:, 2:]) / 2
        # a cell among the nearest k is in one of the nearest k columns, and in one of the nearest k rows
        column, aside = _near_line(middle[:, 0] * self.width / level.stride - 0.5, level.columns, cells)
        row, above = _near_line(middle[:, 1] * self.height / level.stride - 0.5, level.rows, cells)
        distance = (above[:, :, None] + aside[:, None, :]).flatten(1)
        order = distance.argsort(dim=1, stable=True)[:, :cells]
        cell = (row[:, :, None] * level.columns + column[:, None, :]).flatten(1).gather(1, order)
        sizes = torch.arange(level.sizes, device=boxes.device)
        return (level.start + cell[:, :, None] * level.sizes + sizes).flatten(1)

    def _most(self, boxes: Tensor) -> Tensor:
        """(N, S, 2): the largest width and the largest height that boxes share with anchors of each size."""
        middle = (boxes[:, None, :2] + boxes[:, None, 2:]) / 2
        before = (middle / self.pitch - 0.5).floor()
        last = self.counts - 1
        most = torch.zeros_like(before)
        for near in (before, before + 1):  # the columns, and the rows, on both sides of the middle
            # a place far beyond the image is none that an integer could hold
            anchor = self.first[:, None] + torch.minimum(near.clamp(0, _FAR).long(), last) * self.steps
            corners = self.corners[anchor]  # (N, S, column or row, 4)
            low, high = corners[..., [0, 1], [0, 1]], corners[..., [0, 1], [2, 3]]
            shared = torch.minimum(boxes[:, None, 2:], high) - torch.maximum(boxes[:, None, :2], low)
            most = torch.maximum(most, shared)
        return most

    def _reaching(self, boxes: Tensor, most: Tensor, least: Tensor) -> tuple[Pairs, Tensor]:
        """Pairs that share an area of `least` (N, S), and a few more; with that area, and their sizes."""
        least = least * _MARGIN
        reached = (_area(most) >= least) & (most > 0).all(dim=2)
        # with the largest height, so much width is needed, and the other way round
        needed = torch.where(reached[..., None], least[..., None] / most.flip(2), 0)
        reach = self.sides / 2 - needed
        low = ((boxes[:, None, :2] - reach) / self.pitch - 0.5 - _SLACK).ceil()
        high = ((boxes[:, None, 2:] + reach) / self.pitch - 0.5 + _SLACK).floor()
        begin = low.clamp(0, _FAR).long()
        end = torch.minimum(high.clamp(-1, _FAR).long(), self.counts - 1)
        spans = (end - begin + 1).clamp(min=0)
        count = torch.where(reached, _area(spans), 0)

        box, kind = count.nonzero(as_tuple=True)
        count, begin, spans = count[box, kind], begin[box, kind], spans[box, kind]
        group = torch.repeat_interleave(count)  # which box and size a pair is of
        place = torch.arange(len(group), device=group.device) - (count.cumsum(0) - count)[group]
        columns = spans[group, 0]
        box, kind, begin = box[group], kind[group], begin[group]
        cell = torch.stack([place % columns, place // columns], dim=1) + begin
        anchor = self.first[kind] + (cell * self.steps[kind]).sum(dim=1)
        return Pairs(box, anchor, _intersection(boxes[box], self.corners[anchor])), kind


def _near_line(place: Tensor, count: int, nearest: int) -> tuple[Tensor, Tensor]:
    """The whole numbers from 0 to `count` − 1 next to each of (N,) places, and their squared distances."""
    nearest = min(nearest, count)
    start = (place - (nearest - 1) / 2).round().clamp(0, count - nearest)
    numbers = start[:, None] + torch.arange(nearest, device=place.device)
    return numbers.long(), (numbers - place[:, None]).square()


_MARGIN = 1 - 1e-4
_SLACK = 1e-2
"""Of areas, and of places in cells: rounding must drop no pair. Exact values decide afterwards."""
_FAR = 1e6


def _area(sides: Tensor) -> Tensor:
    return sides[..., 0] * sides[..., 1]


def _intersection(first: Tensor, second: Tensor) -> Tensor:
    """Area that boxes (..., 4) share."""
    low = torch.maximum(first[..., :2], second[..., :2])
    high = torch.minimum(first[..., 2:], second[..., 2:])
    return _area((high - low).clamp_(min=0))
