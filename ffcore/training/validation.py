"""How good a network is in the middle of its training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from ffcore.data.annotations import AnnotatedImage
from ffcore.data.collate import Batch
from ffcore.detection.detector import FaceDetector
from ffcore.detection.torch_backend import TorchBackend
from ffcore.errors import ImageError
from ffcore.evaluation.ground_truth import GroundTruth
from ffcore.evaluation.labels import ground_truth_of_rows
from ffcore.evaluation.predictions import predictions_from_faces
from ffcore.evaluation.protocols import PROTOCOLS
from ffcore.evaluation.scoring import evaluate
from ffcore.faces import Faces
from ffcore.images import read_image
from ffcore.results import ImageFaces
from ffcore.training.objective import Objective


@torch.no_grad()
def validation_terms(
    objective: Objective, batches: Iterable[Batch], *, device: torch.device | str
) -> dict[str, float]:
    """Loss terms on photos held back, averaged over the photos.

    Args:
        objective: What is minimised; it is left in evaluation mode.
        batches: Of whole photos.
        device: Where the network is.
    """
    objective.eval()
    sums: dict[str, float] = {}
    photos = 0
    for batch in batches:
        outcome = objective(batch.to(device))
        photos += len(batch)
        for name, value in outcome.terms.items():
            sums[name] = sums.get(name, 0.0) + float(value) * len(batch)
    return {name: value / photos for name, value in sums.items()} if photos else {}


def ground_truth_of(images: Sequence[AnnotatedImage]) -> GroundTruth:
    """The faces of labelled photos, to be scored against; subsets are bands of face height.

    Raises:
        InputError: There is no photo, or two have one name.
    """
    rows = []
    for image in images:
        boxes = image.faces.boxes.astype(float)
        boxes[:, 2:] -= boxes[:, :2]
        rows.append((image.name, boxes.tolist(), image.faces.ignore.tolist()))
    return ground_truth_of_rows("the photos held back", rows)


def average_precision(
    network: nn.Module, truth: GroundTruth, photos: Mapping[str, Path], *, device: torch.device | str
) -> dict[str, float]:
    """Detects in all photos at their own size, and scores.

    Args:
        network: One of these networks, or what gives the same outputs. It is left in evaluation mode.
        truth: The faces.
        photos: File of each image of `truth`; one that cannot be read counts as one without detections.
        device: Where the network is.

    Returns:
        Average precision by subset, 0 to 1; subsets without a face are left out.
    """
    network.eval()
    detector = FaceDetector(TorchBackend(network, device=str(device)), PROTOCOLS["original"])
    results = []
    for name, path in photos.items():
        try:
            image = read_image(path)
        except ImageError:
            continue
        found: Faces = detector(image)
        results.append(ImageFaces(name, image.shape[1], image.shape[0], found))
    result = evaluate(truth, predictions_from_faces(results, truth, missing="empty"))
    return {name: value for name, value in result.ap.items() if value is not None}
