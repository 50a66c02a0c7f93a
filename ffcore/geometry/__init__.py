"""Boxes, anchors, the box coder, non-maximum suppression, resizing and tiles.

The coder takes torch tensors too; nothing here imports torch.
"""

from __future__ import annotations

from ffcore.geometry.anchors import AnchorConfig, anchor_count, anchors
from ffcore.geometry.boxes import areas, pairwise_iou
from ffcore.geometry.coder import decode_boxes, decode_landmarks, encode_boxes, encode_landmarks
from ffcore.geometry.nms import nms
from ffcore.geometry.resize import MEAN_BGR, Resized, ResizePolicy
from ffcore.geometry.tiles import Tile, tiles
from ffcore.geometry.voting import vote

__all__ = [
    "MEAN_BGR",
    "AnchorConfig",
    "ResizePolicy",
    "Resized",
    "Tile",
    "anchor_count",
    "anchors",
    "areas",
    "decode_boxes",
    "decode_landmarks",
    "encode_boxes",
    "encode_landmarks",
    "nms",
    "pairwise_iou",
    "tiles",
    "vote",
]
