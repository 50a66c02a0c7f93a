r"""What each choice of a training is worth: short equal runs, scored on photos that none of them saw.

    python benchmarks/ablation.py --data faces --names train.txt --val-names dev.txt \
        --teacher v1.pth --out ablation

Every run starts with the same seed and sees the same crops of the same photos. Differences below what two
seeds of one setting differ by mean nothing; `--seeds 2` shows how much that is. Prints a table in Markdown,
and goes on with what is missing when it is started again with the same folder.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch

from ffcore import Layer, distill, preset, resolve_distillation, resolve_run, train
from ffcore.events import Event
from ffcore.training.events import StepDone

LABELS: dict[str, dict[str, Any]] = {
    "labels only": {},
    "backbone not from the teacher": {"model.backbone": "none"},
    "without EMA": {"train.ema": 0.0},
    "MixUp 0.25": {"mix.mixup": 0.25},
    "CutMix 0.5": {"mix.cutmix": 0.5},
    "mosaic 0.5": {"mix.mosaic": 0.5},
    "DropBlock 0.1": {"forward.dropblock": 0.1},
    "DIoU boxes": {"loss.box_loss": "diou"},
    "quality focal classes": {"loss.class_loss": "quality-focal"},
    "ATSS matching": {"loss.matching": "atss"},
    "SimOTA matching": {"loss.matching": "simota"},
    "ATSS, quality focal, DIoU": {
        "loss.matching": "atss",
        "loss.class_loss": "quality-focal",
        "loss.box_loss": "diou",
    },
}
OUTPUTS = {"distillation.feature_weight": 0.0, "distillation.alpha.kind": "constant"}
TAUGHT: dict[str, dict[str, Any]] = {
    "distilled, all": {**OUTPUTS, "distillation.normalize": "all"},
    "distilled, foreground": {**OUTPUTS, "distillation.normalize": "foreground"},
    "distilled, focal": {**OUTPUTS, "distillation.normalize": "focal"},
    "distilled, all, features": {
        **OUTPUTS,
        "distillation.normalize": "all",
        "distillation.feature_weight": 0.1,
    },
    "distilled, foreground, features": {
        **OUTPUTS,
        "distillation.normalize": "foreground",
        "distillation.feature_weight": 0.1,
    },
    "features alone": {
        **OUTPUTS,
        "distillation.alpha.constant": 1e-6,
        "distillation.teacher_ignore": 0.0,
        "distillation.feature_weight": 0.1,
    },
    "teacher_ignore alone": {**OUTPUTS, "distillation.alpha.constant": 1e-6},
}


def layers(arguments: argparse.Namespace, seed: int, values: dict[str, Any]) -> list[Layer]:
    """The settings that all runs share, and those of one."""
    shared = {
        "data.path": arguments.data,
        "data.names": arguments.names,
        "data.validation_names": arguments.val_names,
        "data.cache": arguments.cache or "none",
        "data.batch_size": 16,
        "data.workers": 1,
        "augment.sizes": [arguments.size],
        "augment.crop_scales": [x / 10 for x in range(3, 15)],
        "model.backbone": arguments.teacher,
        "train.epochs": arguments.epochs,
        "train.schedule": "onecycle",
        "train.rate": 3e-3,
        "train.ema": 0.99,
        "validation.interval": arguments.epochs,
        "validation.size": arguments.size,
        "seed": seed,
    }
    return [preset("v2"), Layer("ablation", shared | values)]


def main() -> None:
    """Trains, scores, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    for name in ("data", "names", "val-names", "teacher", "out"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--cache", help="folder for decoded photos")
    parser.add_argument("--size", type=int, default=192)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", nargs="*", help="rows to run; all by default")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    rows = []
    for name, values in {**LABELS, **TAUGHT}.items():
        if arguments.only and name not in arguments.only:
            continue
        for seed in range(arguments.seeds):
            file = Path(arguments.out) / f"{name.replace(', ', '-').replace(' ', '_')}-{seed}.json"
            if not file.exists():
                outcome = run(arguments, seed, name, values)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(json.dumps(outcome), encoding="utf-8")
            outcome = json.loads(file.read_text(encoding="utf-8"))
            rows.append((name, seed, outcome))
            print(*row(name, seed, outcome), sep=" | ", flush=True)
    print(
        "\n| run | seed | AP ≥ 50 px | AP ≥ 30 px | AP ≥ 10 px | CPU ms a sample |\n|---|---|---|---|---|---|"
    )
    for each in rows:
        print("|", " | ".join(row(*each)), "|")


def run(arguments: argparse.Namespace, seed: int, name: str, values: dict[str, Any]) -> dict[str, Any]:
    """One training: its APs and its cost."""
    folder = Path(arguments.out) / f"run-{time.time_ns()}"
    samples = 0

    def count(event: Event) -> None:
        nonlocal samples
        samples += len(event.report.images) if isinstance(event, StepDone) else 0

    begun = time.process_time()
    if name in TAUGHT:
        taught = resolve_distillation(
            layers(
                arguments, seed, {"teacher.weights": arguments.teacher, "model.backbone": "teacher", **values}
            )
        )
        result = distill(taught.config, folder, device="cpu", threads=1, on_event=count)
    else:
        result = train(
            resolve_run(layers(arguments, seed, values)).config, folder, device="cpu", on_event=count
        )
    assert result.best is not None
    seconds = time.process_time() - begun
    return {"ap": dict(result.best.ap), "samples": samples, "ms": 1e3 * seconds / samples}


def row(name: str, seed: int, outcome: dict[str, Any]) -> tuple[str, ...]:
    """The cells of a line."""
    aps = [f"{100 * outcome['ap'][key]:.1f}" for key in ("height>=50", "height>=30", "height>=10")]
    return (name, str(seed), *aps, f"{outcome['ms']:.0f}")


if __name__ == "__main__":
    main()
