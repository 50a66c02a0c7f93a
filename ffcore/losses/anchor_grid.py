"""The anchors of one image size as tensors, kept so that overlaps with all of them are cheap."""

from __future__ import annotations

from dataclasses import dataclass

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


@dataclass(frozen=True, eq=False)
class AnchorGrid:
    """A anchors in L levels, each a grid of rows, columns and sizes.

    All anchors of a column span the same x, all of a row the same y. So the intersection of a box with the
    anchors of a level is an outer product of two short vectors.

    Args:
        height: Of the image, pixels.
        width: Likewise.
        levels: Where the anchors of each stride stand in the table.
        table: (A, 4) float32, cx cy w h relative to the image.
        columns: For each level (W, S, 2), the left and right ends of the anchors of a column.
        rows: For each level (H, S, 2), their upper and lower ends.
    """

    height: int
    width: int
    levels: tuple[Level, ...]
    table: Tensor
    columns: tuple[Tensor, ...]
    rows: tuple[Tensor, ...]

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
        table = torch.from_numpy(anchors(height, width, config).copy()).to(device)
        levels, columns, rows, start = [], [], [], 0
        for stride, sizes in zip(config.strides, config.min_sizes, strict=True):
            level = Level(start, stride, -(-height // stride), -(-width // stride), len(sizes))
            cells = table[start : start + len(level)].view(level.rows, level.columns, level.sizes, 4)
            half = cells[..., 2:] / 2
            low, high = cells[..., :2] - half, cells[..., :2] + half
            levels.append(level)
            columns.append(torch.stack([low[0, :, :, 0], high[0, :, :, 0]], dim=-1))
            rows.append(torch.stack([low[:, 0, :, 1], high[:, 0, :, 1]], dim=-1))
            start += len(level)
        return cls(height, width, tuple(levels), table, tuple(columns), tuple(rows))

    def __len__(self) -> int:
        return len(self.table)

    def iou(self, boxes: Tensor) -> Tensor:
        """IoU with every anchor.

        Args:
            boxes: (N, 4) float32, xyxy relative to the image, with area.

        Returns:
            (N, A).
        """
        inter = self._intersection(boxes)
        area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        union = (area[:, None] + (self.table[:, 2] * self.table[:, 3])).sub_(inter)
        return inter.div_(union)

    def iou_with(self, boxes: Tensor, anchors: Tensor) -> Tensor:
        """IoU of each box with some anchors of its own.

        Args:
            boxes: (N, 4) float32, xyxy relative to the image, with area.
            anchors: (N, K) int64, numbers of anchors.

        Returns:
            (N, K).
        """
        near = self.table[anchors]
        centres, sizes = near[..., :2], near[..., 2:]
        low = torch.maximum(boxes[:, None, :2], centres - sizes / 2)
        high = torch.minimum(boxes[:, None, 2:], centres + sizes / 2)
        sides = (high - low).clamp_(min=0)
        inter = sides[..., 0] * sides[..., 1]
        area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        return inter / (area[:, None] + sizes[..., 0] * sizes[..., 1] - inter)

    def coverage(self, boxes: Tensor) -> Tensor:
        """Which share of every anchor lies in a box.

        Args:
            boxes: (N, 4) float32, xyxy relative to the image.

        Returns:
            (N, A), 0 to 1.
        """
        return self._intersection(boxes).div_(self.table[:, 2] * self.table[:, 3])

    def _intersection(self, boxes: Tensor) -> Tensor:
        inter = boxes.new_empty(len(boxes), len(self))
        start = 0
        for columns, rows in zip(self.columns, self.rows, strict=True):
            wide = _overlap(boxes[:, 0], boxes[:, 2], columns)  # (N, W, S)
            high = _overlap(boxes[:, 1], boxes[:, 3], rows)  # (N, H, S)
            shape = (len(boxes), rows.shape[0], columns.shape[0], rows.shape[1])
            count = shape[1] * shape[2] * shape[3]
            part = inter[:, start : start + count].view(shape)
            for size in range(shape[3]):  # over long rows of columns: an inner loop over sizes is slow
                torch.mul(high[:, :, None, size], wide[:, None, :, size], out=part[..., size])
            start += count
        return inter


def _overlap(low: Tensor, high: Tensor, spans: Tensor) -> Tensor:
    """Length that (N,) intervals share with (M, S, 2) spans: (N, M, S), 0 where they are apart."""
    begin = torch.maximum(low[:, None, None], spans[..., 0])
    end = torch.minimum(high[:, None, None], spans[..., 1])
    return (end - begin).clamp_(min=0)
