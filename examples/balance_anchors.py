"""Choose how much the six sizes of anchor are trusted, one against the other, by AP on labelled photos.

    python examples/balance_anchors.py WEIGHTS --data DIR --names dev.txt --out balanced.safetensors

A small box that fits no face counts against large faces too, so what one size of anchor says is a matter of
scale between the subsets of a protocol. The logit of a face of each size is moved up or down, which is one
bias of a head and costs nothing when the network runs; which way is found by trying. The photos must be
neither those that the network learnt from nor those on which the result is reported.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ffcore import load_network, save_network
from ffcore.data import read_sample
from ffcore.data.annotations import AnnotatedImage
from ffcore.data.reading import read_annotations
from ffcore.detection.postprocess import postprocess
from ffcore.detection.torch_backend import TorchBackend
from ffcore.evaluation.ground_truth import GroundTruth
from ffcore.evaluation.predictions import predictions_from_faces
from ffcore.evaluation.protocols import PROTOCOLS
from ffcore.evaluation.scoring import evaluate
from ffcore.geometry.anchors import PUBLISHED, anchors
from ffcore.models.featherface import FeatherFace
from ffcore.results import ImageFaces
from ffcore.training.validation import ground_truth_of

SIZES = tuple(size for level in PUBLISHED.min_sizes for size in level)
STEPS = (0.2, 0.1, 0.05)
OPTIONS = PROTOCOLS["original"]
WORTH = 5e-5
"""Less than this in AP, 0 to 1, is no reason for a step."""


@dataclass(frozen=True)
class Output:
    """What a network says of one photo, of A anchors."""

    name: str
    width: int
    height: int
    boxes: NDArray[np.float32]
    """(A, 4), raw offsets."""
    logits: NDArray[np.float32]
    """(A,): of a face, against background."""
    size: NDArray[np.intp]
    """(A,): which of `SIZES` the anchor has."""

    def faces(self, biases: NDArray[np.float32]) -> ImageFaces:
        """What is found when each size has its bias."""
        found = postprocess(
            self.boxes,
            1 / (1 + np.exp(-self.logits - biases[self.size])),
            landmarks=np.zeros((len(self.boxes), 10), np.float32),
            height=self.height,
            width=self.width,
            score=OPTIONS.score,
            nms_threshold=OPTIONS.nms,
            candidates=OPTIONS.candidates,
            max_faces=OPTIONS.max_faces,
        )
        return ImageFaces(self.name, self.width, self.height, found)


@dataclass(frozen=True)
class LabelledOutputs:
    """All photos at one scale."""

    outputs: list[Output]
    truth: GroundTruth

    def average_precisions(self, biases: NDArray[np.float32]) -> list[float]:
        """AP of each subset, 0 to 1; 0 for one without a face."""
        found = predictions_from_faces(
            [photo.faces(biases) for photo in self.outputs], self.truth, missing="empty"
        )
        return [value or 0.0 for value in evaluate(self.truth, found).ap.values()]


def look(network: FeatherFace, images: list[AnnotatedImage], *, scale: float) -> LabelledOutputs:
    """Runs the network on all photos, each at `scale` of its size."""
    backend = TorchBackend(network)
    outputs, truth = [], []
    for image in images:
        sample = read_sample(image, scale=scale)
        height, width = sample.image.shape[:2]
        raw = backend.run(sample.image[None])
        scores = raw.scores[0].clip(1e-7, 1 - 1e-7)
        size = np.searchsorted(SIZES, (anchors(height, width)[:, 2] * width).round())
        logits = np.log(scores) - np.log1p(-scores)
        outputs.append(Output(image.name, width, height, raw.boxes[0], logits, size))
        truth.append(AnnotatedImage(image.name, image.path, sample.faces))
    return LabelledOutputs(outputs, ground_truth_of(truth))


def balance(photos: list[LabelledOutputs], shares: list[float]) -> NDArray[np.float32]:
    """The biases with the highest mean of all APs that small steps lead to.

    Args:
        photos: At each scale.
        shares: What each subset counts, those of large faces first.
    """

    def measured(biases: NDArray[np.float32]) -> list[list[float]]:
        return [seen.average_precisions(biases) for seen in photos]

    def mean(ap: list[list[float]]) -> float:
        return float(np.mean([np.average(row, weights=shares) for row in ap]))

    def report(what: str, ap: list[list[float]]) -> None:
        print(f"{what}:", ", ".join(" / ".join(f"{100 * x:.2f}" for x in row) for row in ap), flush=True)

    biases = np.zeros(len(SIZES), np.float32)
    ap = measured(biases)
    best = mean(ap)
    report("as it is", ap)
    for step in STEPS:
        better = True
        while better:
            better = False
            for index, direction in [(i, d) for i in range(len(SIZES)) for d in (-step, step)]:
                tried = biases.copy()
                tried[index] += direction
                ap = measured(tried)
                if mean(ap) > best + WORTH:
                    biases, best, better = tried, mean(ap), True
                    report(f"{SIZES[index]} px {biases[index]:+.2f}", ap)
    return biases


def main() -> None:
    """Runs the example."""
    parser = argparse.ArgumentParser(description="Balance the sizes of anchor of a network.")
    parser.add_argument("weights", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--names", type=Path)
    parser.add_argument("--scales", type=float, nargs="+", default=[1.0, 0.5])
    parser.add_argument("--shares", type=float, nargs=3, default=[1.0, 1.0, 1.0], help="of the three subsets")
    parser.add_argument("--out", type=Path, default=Path("balanced.safetensors"))
    options = parser.parse_args()

    network = load_network(options.weights).eval()
    images = list(read_annotations(options.data, None, names=options.names, check="header").images)
    biases = balance([look(network, images, scale=scale) for scale in options.scales], options.shares)
    per_level = len(PUBLISHED.min_sizes[0])
    for index, bias in enumerate(biases):
        # of each anchor of a level two logits: background, face
        logits = network.state_dict()[f"heads.{index // per_level}.logits.bias"]
        logits[2 * (index % per_level) + 1] += bias
    moved = ", ".join(f"{size}: {bias:+.2f}" for size, bias in zip(SIZES, biases, strict=True))
    save_network(network, options.out, facts={"balanced": moved})
    print(f"{options.out}: {moved}")


if __name__ == "__main__":
    main()
