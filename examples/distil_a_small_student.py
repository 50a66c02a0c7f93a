"""Distil a student of your own making from a teacher, with another configuration than the documented one.

    python examples/distil_a_small_student.py [--data FOLDER] [--teacher v2] [--epochs 20] [--out FOLDER]

The student is a v2 of half the width. The teacher speaks where it sees faces (``foreground``), α falls along
a cosine, no features are matched, and faces that the labels miss are no background. FOLDER is any labelled
set; without it, small drawn photos are used, which show that everything works and nothing else.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from toy_faces import SIDE, write_photos

from ffcore import Layer, StepDone, Validated, distill, resolve_distillation
from ffcore.detection.loading import tensors_file
from ffcore.distillation.job import TeacherScored
from ffcore.events import Event


def on_event(event: Event) -> None:
    """Prints what a person wants to know."""
    match event:
        case TeacherScored(ap=ap):
            print("teacher: " + ", ".join(f"AP {name} {value:.2f}" for name, value in ap.items()))
        case StepDone(report=report) if report.step % 10 == 0:
            terms = report.terms
            print(f"step {report.step}: task {terms['task']:.2f}, distill {terms['distill']:.2f}")
        case Validated(epoch=epoch, ap=ap):
            print(f"epoch {epoch + 1}: " + ", ".join(f"AP {name} {value:.2f}" for name, value in ap.items()))


def main() -> None:
    """Runs the example."""
    parser = argparse.ArgumentParser(description="Distil a small student.")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--teacher", default="v2")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--size", type=int, default=SIDE)
    parser.add_argument("--out", type=Path, default=Path("runs/small-student"))
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        data = options.data or write_photos(Path(folder))
        settings = Layer(
            "this example",
            {
                "model.name": "v2",
                "model.settings": ["out_channel=16"],
                "teacher.weights": str(tensors_file(options.teacher)),
                "distillation.normalize": "foreground",
                "distillation.feature_weight": 0.0,
                "distillation.teacher_ignore": 0.6,
                "distillation.alpha.kind": "cosine",
                "data.path": str(data),
                "data.batch_size": 4,
                "data.workers": 0,
                "data.holdout": 0.25,
                "augment.sizes": [options.size],
                "validation.size": options.size,
                "train.epochs": options.epochs,
                "train.schedule": "cosine",
                "train.ema": 0.9,
            },
        )
        config = resolve_distillation([settings]).config
        result = distill(config, options.out, device="cpu", on_event=on_event)
    print(f"{result.ending} after {result.steps} steps: {result.weights}")


if __name__ == "__main__":
    main()
