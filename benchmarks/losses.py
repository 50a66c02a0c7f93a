"""Our matching and losses against the plain way to compute the published ones, in one run.

    python benchmarks/losses.py [--batch 8] [--faces 20] [--size 640] [--threads 1] [--rounds 20]

The plain way is what most training code does: image by image the overlaps of all faces with all anchors, a
rank of every anchor by sorting twice, and masks. All take turns on the same outputs and faces; medians and
ratios are printed, each for matching and loss with the gradients of the outputs. The alternatives to the
published loss are measured beside it.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from ffcore.geometry import encode_boxes, encode_landmarks
from ffcore.losses import (
    AnchorGrid,
    MultiBoxConfig,
    MultiBoxLoss,
    Targets,
    match_anchors,
    match_anchors_atss,
    match_anchors_simota,
)
from ffcore.models.blocks.heads import RawOutputs

CONFIGS = {
    "ours": MultiBoxConfig(),
    "CIoU": MultiBoxConfig(box_loss="ciou"),
    "focal": MultiBoxConfig(class_loss="focal"),
    "ATSS, GIoU, quality focal": MultiBoxConfig(matching="atss", box_loss="giou", class_loss="quality-focal"),
    "SimOTA, GIoU, quality focal": MultiBoxConfig(
        matching="simota", box_loss="giou", class_loss="quality-focal"
    ),
}


def main() -> None:
    """Runs the comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--faces", type=int, default=20)
    parser.add_argument("--size", type=int, default=640)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    rows = [_faces(options.faces) for _ in range(options.batch)]
    targets, grid = Targets.from_rows(rows), AnchorGrid.of(options.size, options.size)
    outputs = RawOutputs(*(torch.randn(options.batch, len(grid), k) for k in (4, 2, 10)))

    def with_gradients(total: Callable[[RawOutputs], Tensor]) -> Callable[[], Tensor]:
        def run() -> Tensor:
            leaves = RawOutputs(*(tensor.detach().requires_grad_() for tensor in outputs))
            value = total(leaves)
            torch.autograd.backward(value)
            return value.detach()

        return run

    def loss_of(config: MultiBoxConfig) -> Callable[[], Tensor]:
        loss = MultiBoxLoss(config)
        return with_gradients(lambda leaves: loss(leaves, targets, grid).total)

    matching: dict[str, Callable[[], object]] = {
        "plain": lambda: [plain_matching(faces[:, :4], grid.table) for faces in rows],
        "ours": lambda: match_anchors(targets, grid),
        "ATSS": lambda: match_anchors_atss(targets, grid),
        "SimOTA": lambda: match_anchors_simota(targets, grid, outputs),
    }
    losses: dict[str, Callable[[], Tensor]] = {
        "plain": with_gradients(lambda leaves: plain_loss(leaves, rows, grid.table)),
        **{name: loss_of(config) for name, config in CONFIGS.items()},
    }
    print(f"torch {torch.__version__}, {options.threads} threads, {platform.machine()}")
    print(f"{options.batch} images of {options.size} pixels with {options.faces} faces each")
    print(f"total: plain {float(losses['plain']()):.6f}, ours {float(losses['ours']()):.6f}")
    _compare("matching alone", matching, options.rounds)
    _compare("matching, loss and gradients", losses, options.rounds)


def plain_matching(boxes: Tensor, table: Tensor) -> tuple[Tensor, Tensor]:
    """Face of each anchor of one image, and whether it is positive."""
    corners = torch.cat([table[:, :2] - table[:, 2:] / 2, table[:, :2] + table[:, 2:] / 2], dim=1)
    low = torch.maximum(boxes[:, None, :2], corners[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], corners[None, :, 2:])
    inter = (high - low).clamp(min=0).prod(dim=2)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)[:, None] + table[:, 2:].prod(dim=1)
    iou = inter / (areas - inter)
    best, best_anchor = iou.max(dim=1)
    overlap, face = iou.max(dim=0)
    if not (best >= 0.2).any():
        return face, torch.zeros_like(overlap, dtype=torch.bool)
    overlap[best_anchor[best >= 0.2]] = 2
    for g, anchor in enumerate(best_anchor.tolist()):
        face[anchor] = g
    return face, overlap >= 0.35


def plain_loss(outputs: RawOutputs, rows: list[Tensor], table: Tensor) -> Tensor:
    """Total of the published loss for faces that all have landmarks."""
    places, boxes, points = [], [], []
    for faces in rows:
        face, positive = plain_matching(faces[:, :4], table)
        places.append(positive)
        boxes.append(encode_boxes(faces[face, :4], table))
        points.append(encode_landmarks(faces[face, 4:14], table))
    positive = torch.stack(places)
    every = positive.unsqueeze(2)
    box = F.smooth_l1_loss(
        outputs.boxes[every.expand_as(outputs.boxes)],
        torch.stack(boxes)[every.expand_as(outputs.boxes)],
        reduction="sum",
    )
    landmark = F.smooth_l1_loss(
        outputs.landmarks[every.expand_as(outputs.landmarks)],
        torch.stack(points)[every.expand_as(outputs.landmarks)],
        reduction="sum",
    )
    label = positive.long()
    cost = outputs.logits.logsumexp(dim=2) - outputs.logits.gather(2, label.unsqueeze(2)).squeeze(2)
    order = cost.detach().masked_fill(positive, 0).argsort(dim=1, descending=True)
    rank = order.argsort(dim=1)
    negative = rank < (7 * positive.sum(dim=1, keepdim=True)).clamp(max=len(table) - 1)
    chosen = positive | negative
    classes = F.cross_entropy(
        outputs.logits[chosen.unsqueeze(2).expand_as(outputs.logits)].view(-1, 2),
        label[chosen],
        reduction="sum",
    )
    return (2 * box + classes + landmark) / positive.sum().clamp(min=1)


def _compare(title: str, contestants: Mapping[str, Callable[[], object]], rounds: int) -> None:
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(rounds + 1):
        for name, run in contestants.items():
            start = time.perf_counter()
            run()
            if turn:  # the first round warms up
                times[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(spent) for name, spent in times.items()}
    print(f"{title}:")
    for name, value in medians.items():
        print(f"  {name:26} {1e3 * value:8.2f} ms, ratio to plain {value / medians['plain']:.3f}")


def _faces(count: int) -> Tensor:
    low, sides = 0.9 * torch.rand(count, 2), 0.01 + 0.1 * torch.rand(count, 2)
    points = (low[:, None] + sides[:, None] * torch.rand(count, 5, 2)).flatten(1)
    return torch.cat([low, low + sides, points, torch.ones(count, 1)], dim=1)


if __name__ == "__main__":
    main()
