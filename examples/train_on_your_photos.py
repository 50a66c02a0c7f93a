"""Train a network on a few labelled photos, from Python.

    python examples/train_on_your_photos.py [--epochs 600] [--out FOLDER]

It labels the example photos as a COCO file, as an annotation tool would write it, learns them by heart, which
takes a minute or two on one core, and looks for the faces with what it has learnt. For your own photos, point
`DataConfig` to your labels, and begin with trained weights: ``ModelConfig(name="v2", weights=...)``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ffcore import FaceDetector, read_image
from ffcore.data.augment import AugmentConfig
from ffcore.data.colour import ColourConfig
from ffcore.events import Event
from ffcore.training.config import TrainConfig
from ffcore.training.events import StepDone, Validated
from ffcore.training.job import train
from ffcore.training.run_config import DataConfig, ModelConfig, RunConfig

PHOTOS = Path(__file__).parent / "photos"

# x y width height, and five landmarks: left eye, right eye, nose, left and right mouth corner, as seen
FACES = {
    "astronaut.jpg": [((180, 60, 91, 118), ((203, 101), (248, 102), (224, 128), (202, 138), (246, 140)))],
    "grace_hopper.jpg": [
        ((176, 116, 177, 216), ((224, 192), (307, 188), (269, 243), (232, 277), (302, 274)))
    ],
    "cat.jpg": [],  # a photo without faces teaches what a face is not
}


def write_labels(file: Path) -> None:
    """The labels as a COCO file with keypoints."""
    faces = [
        {
            "image_id": list(FACES).index(name),
            "category_id": 1,
            "bbox": box,
            "keypoints": [number for x, y in points for number in (x, y, 2)],
        }
        for name, each in FACES.items()
        for box, points in each
    ]
    document = {
        "images": [{"id": number, "file_name": name} for number, name in enumerate(FACES)],
        "categories": [{"id": 1, "name": "face"}],
        "annotations": [{"id": number, **face} for number, face in enumerate(faces)],
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(document, indent=1), encoding="utf-8")


def on_event(event: Event) -> None:
    """A callback: the training prints nothing by itself."""
    match event:
        case StepDone(report=report, seconds_left=left) if report.step % 50 == 0:
            print(f"step {report.step}: loss {report.terms['total']:.2f}, {left:.0f} s left")
        case Validated(epoch=epoch, ap=ap):
            print(f"epoch {epoch + 1}: " + ", ".join(f"AP {name} {value:.2f}" for name, value in ap.items()))


def main() -> None:
    """Runs the example."""
    parser = argparse.ArgumentParser(description="Train on the example photos.")
    parser.add_argument("--epochs", type=int, default=600)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--out", type=Path, default=Path("runs/my-photos"))
    options = parser.parse_args()

    labels = options.out / "labels.json"
    write_labels(labels)
    data = DataConfig(
        path=str(labels),
        images=str(PHOTOS),
        holdout=0.0,  # three photos are too few to keep one back; with yours, leave this out
        batch_size=3,
        workers=0,
    )
    config = RunConfig(
        model=ModelConfig(name="v2"),
        data=data,
        augment=AugmentConfig(sizes=(options.size,), crop_scales=(1.0,), colour=ColourConfig(probability=0)),
        train=TrainConfig(epochs=options.epochs, schedule="onecycle", rate=4e-3),
    )
    result = train(config, options.out / "run", device="cpu", on_event=on_event)

    if result.weights is None:
        raise SystemExit(f"{result.ending} after {result.steps} steps, before there were weights to keep")
    print(f"{result.ending} after {result.steps} steps: {result.weights}")
    detector = FaceDetector.load(result.weights, size=(options.size, options.size), device="cpu")
    for name in FACES:
        print(f"{name}: {len(detector(read_image(PHOTOS / name)))} faces found, {len(FACES[name])} labelled")


if __name__ == "__main__":
    main()
