r"""APs of other small detectors beside those of this package, under the same rules, in one run.

    FEATHERFACE_REFERENCE=... python benchmarks/peers.py --ground-truth GT --data PHOTOS [--images list.txt]

Every detector sees each photo at its own size where it takes any (YuNet and SCRFD: filled up to a multiple
of 32, as they need), and fitted into 640×640 (Ultra-Light: stretched to 640×480, as it is meant). Boxes from
a score of 0.02, NMS at 0.4, 750 a photo at most, scored by the rules of WIDER FACE. The peers are the ONNX
files in the folder ``peers`` of FEATHERFACE_REFERENCE, with the decoding and the colours that their
publishers use. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ffcore import FaceDetector, read_ground_truth, read_image
from ffcore.detection.onnxruntime_session import OnnxRuntimeSession
from ffcore.evaluation.ground_truth import GroundTruth, read_image_list
from ffcore.evaluation.predictions import predictions_from_faces
from ffcore.evaluation.protocols import PROTOCOLS
from ffcore.evaluation.scoring import evaluate
from ffcore.faces import Faces
from ffcore.geometry.nms import nms
from ffcore.geometry.resize import ResizePolicy
from ffcore.results import ImageFaces, from_opencv

Image = NDArray[np.uint8]
Detect = Callable[[Image], Faces]
"""From (H, W, 3) uint8 BGR to faces in pixels of it."""

SIDE = 640
OWN = PROTOCOLS["original"]
FITTED = replace(OWN, size=SIDE)
STRIDES = (8, 16, 32)


@dataclass(frozen=True)
class Peer:
    """A detector under both conditions.

    Args:
        name: For people.
        own: Looks at photos as they are; None where it takes one size only.
        fitted: Looks at photos fitted into a square.
    """

    name: str
    own: Detect | None
    fitted: Detect


def ours(name: str, source: str | Path) -> Peer:
    """A detector that the library reads itself."""
    backend = FaceDetector.load(source, threads=1).backend
    return Peer(name, FaceDetector(backend, OWN), FaceDetector(backend, FITTED))


def other(name: str, detect: Detect, *, multiple: int | None) -> Peer:
    """A detector of somebody else.

    Args:
        name: For people.
        detect: Looks at an image of a size that it takes.
        multiple: Height and width that it takes are multiples of this; None: only `SIDE`.
    """

    def looking(policy: ResizePolicy) -> Detect:
        def look(photo: Image) -> Faces:
            resized = policy.apply(photo)
            return resized.to_photo(detect(resized.image))

        return look

    own = None if multiple is None else looking(ResizePolicy(multiple=multiple))
    return Peer(name, own, looking(ResizePolicy(size=(SIDE, SIDE))))


def _best(boxes: NDArray[np.float32], scores: NDArray[np.float32]) -> Faces:
    """Of boxes (N, 4), xyxy, those that the protocol keeps."""
    likely = np.flatnonzero(scores > OWN.score)
    likely = likely[np.argsort(-scores[likely], kind="stable")][: OWN.candidates]
    kept = likely[nms(boxes[likely], scores[likely], threshold=OWN.nms, limit=OWN.max_faces)]
    return Faces(
        boxes=boxes[kept].astype(np.float32),
        scores=scores[kept].astype(np.float32),
        landmarks=np.zeros((len(kept), 5, 2), np.float32),
    )


def scrfd(file: Path) -> Detect:
    """SCRFD: distances to the four sides from the corner of each cell, two anchors a cell."""
    session = OnnxRuntimeSession(file, device="cpu", threads=1)

    def detect(image: Image) -> Faces:
        blob = (image[..., ::-1].astype(np.float32) - 127.5) / 128
        out = session.run({session.inputs[0].name: blob.transpose(2, 0, 1)[None]})
        boxes = []
        for level, stride in enumerate(STRIDES):
            rows, columns = image.shape[0] // stride, image.shape[1] // stride
            x, y = np.meshgrid(np.arange(columns) * stride, np.arange(rows) * stride)
            corner = np.repeat(np.stack([x, y], axis=-1).reshape(-1, 2), 2, axis=0)
            sides = out[3 + level].reshape(-1, 4) * stride
            boxes.append(np.hstack([corner - sides[:, :2], corner + sides[:, 2:]]))
        return _best(np.concatenate(boxes), np.concatenate([each.ravel() for each in out[:3]]))

    return detect


def yunet(file: Path) -> Detect:
    """YuNet, by OpenCV, which fills photos up to a multiple of 32 itself."""
    detector = cv2.FaceDetectorYN.create(str(file), "", (SIDE, SIDE), OWN.score, OWN.nms, OWN.candidates)

    def detect(image: Image) -> Faces:
        detector.setInputSize((image.shape[1], image.shape[0]))
        return from_opencv(detector.detect(image)[1]).by_score()[: OWN.max_faces]

    return detect


def ultra_light(file: Path) -> Detect:
    """Ultra-Light: photos stretched to 640×480, boxes as parts of the sides."""
    session = OnnxRuntimeSession(file, device="cpu", threads=1)

    def detect(photo: Image) -> Faces:
        image = cv2.cvtColor(cv2.resize(photo, (640, 480)), cv2.COLOR_BGR2RGB)
        blob = (image.astype(np.float32) - 127) / 128
        scores, boxes = session.run({"input": blob.transpose(2, 0, 1)[None]})
        height, width = photo.shape[:2]
        return _best(boxes[0] * np.array([width, height] * 2, np.float32), scores[0, :, 1])

    return detect


def average_precision(detect: Detect, truth: GroundTruth, data: Path) -> list[float]:
    """AP on Easy, Medium and Hard, 0 to 100."""
    found = []
    for name in truth.images:
        photo = read_image(data / f"{name}.jpg")
        found.append(ImageFaces(f"{name}.jpg", photo.shape[1], photo.shape[0], detect(photo)))
    result = evaluate(truth, predictions_from_faces(found, truth, missing="empty"))
    return [100 * value for value in result.ap.values() if value is not None]


def peers(reference: Path) -> Sequence[Peer]:
    """All detectors, ours first."""
    files, weights = reference / "peers", reference / "weights"
    stretched = ultra_light(files / "ulfg_rfb_640.onnx")
    return (
        ours("`v2`, shipped", "v2"),
        ours("public `v1`", weights / "v1_public.pth"),
        other("YuNet-n", yunet(files / "yunet_n_640.onnx"), multiple=1),
        other("SCRFD-500M", scrfd(files / "scrfd_500m_bnkps.onnx"), multiple=None),
        other("SCRFD-2.5G", scrfd(files / "scrfd_2.5g.onnx"), multiple=32),
        replace(ours("RetinaFace mobilenet0.25", files / "retinaface_mnet025_mingo99.onnx"), own=None),
        Peer("Ultra-Light RFB-640", None, stretched),
    )


def main() -> None:
    """Measures all of them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ground-truth", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--images", type=Path, help="file that lists the photos to use")
    options = parser.parse_args()
    reference = os.environ.get("FEATHERFACE_REFERENCE")
    if not reference:
        parser.error("FEATHERFACE_REFERENCE must name the folder that holds peers and weights")
    truth = read_ground_truth(options.ground_truth, data=options.data, official=options.images is None)
    if options.images is not None:
        truth = truth.only(read_image_list(options.images))
    print(f"| {len(truth.images)} photos | own size | fitted into {SIDE}×{SIDE} |")
    print("|---|---|---|")
    for peer in peers(Path(reference)):
        cells = [
            ""
            if detect is None
            else " / ".join(f"{ap:.2f}" for ap in average_precision(detect, truth, options.data))
            for detect in (peer.own, peer.fitted)
        ]
        print(f"| {peer.name} | {cells[0]} | {cells[1]} |", flush=True)


if __name__ == "__main__":
    main()
