"""The commands that are not run to the letter by the gate, each with the reason; every other one is.

Commands stand here as the documents have them. What is not of a reader's own making, an ellipsis or an option
in brackets, makes a synopsis of a line, and does not stand here.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

AS_WRITTEN = bool(os.environ.get("FEATHERFACE_AS_WRITTEN"))
"""Whether commands that are shortened for the gate are run as they are written."""


@dataclass(frozen=True)
class Shortened:
    """Commands that are run with something less to do.

    Args:
        reason: Why not as they are written.
        commands: Which.
        more: Typed at the end as well; the last value of an option counts.
        less: Left out.
        instead: What is typed in place of what.
        always: Whether it is also typed where the others are run as they are written, see test_commands.
    """

    reason: str
    commands: tuple[str, ...]
    more: str = ""
    less: str = ""
    instead: tuple[str, str] = ("", "")
    always: bool = False

    def applied(self, text: str) -> str:
        """What is typed in place of a command."""
        text = text.replace(self.less, "") if self.less else text
        text = text.replace(*self.instead) if self.instead[0] else text
        return f"{text} {self.more}".rstrip()


@dataclass(frozen=True)
class Elsewhere:
    """Commands that cannot be run here.

    Args:
        reason: Why, and where they are run if anywhere.
        commands: Which.
    """

    reason: str
    commands: tuple[str, ...]


SMALL = "--epochs 1 --size 64 --batch-size 8 --workers 0 --no-tensorboard --set validation.size=64"

SHORTENED = (
    Shortened(
        reason="hundreds of epochs, or some at sizes that take minutes",
        commands=(
            "featherface train --data wider/train --model v1 --epochs 2 --size 320",
            "featherface train --data DIR --model v1 --epochs 2 --size 320",
            "featherface train --data DIR --model v2",
            (
                "featherface train --data wider/train --model v1 --init v1-small.safetensors --epochs 30 "
                "--set 'model.settings=[\"out_channel=40\"]'"
            ),
            (
                "torchrun --standalone --nproc-per-node 2 -m ffcli train --data wider/train --model v2 "
                "--batch-size 8 --threads 1 --epochs 2"
            ),
            "featherface distill --teacher v1.pth --data wider/train --alpha-schedule dynamic",
            "featherface distill --teacher v1.pth --data DIR --alpha-schedule dynamic",
            "featherface distill --teacher v1.pth --data DIR --epochs 2",
            (
                "featherface distill --teacher v1.pth --data DIR --epochs 2 --student v2-ca "
                "--alpha-schedule cosine"
            ),
        ),
        more=SMALL,
    ),
    Shortened(
        reason="16 epochs at up to 640 pixels, and a teacher that is exported first",
        commands=(
            (
                "featherface distill --teacher v1.pth --data DIR --names train.txt --val-names dev.txt "
                "--init legs-1-to-5.safetensors --init-backbone none --preset none --epochs 16 "
                "--batch-size 8 --size 320,448,640 --schedule trapezoid --rate 1.5e-3 --ema 0.998 "
                "--alpha-schedule constant --set distillation.alpha.constant=0.5 --kd-normalize focal "
                "--feature-weight 0 --set distillation.landmark_weight=0.25 --set "
                "distillation.class_weight=2 --teacher-ignore 0.6 --set loss.matching=atss --set "
                "loss.class_loss=quality-focal --set loss.box_loss=diou --set loss.landmark_weight=0.25 "
                "--set train.decay=1 --set train.warmup=0 --seed 7 --set 'augment.crop_scales=[0.3, 0.4, "
                "0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4]'"
            ),
        ),
        more=f"{SMALL} --teacher-runtime torch",
    ),
    Shortened(
        reason="the same, with one process in place of four: each of them loads torch",
        commands=(
            (
                "torchrun --standalone --nproc-per-node 4 -m ffcli train --data DIR --model v1 "
                "--batch-size 8 --epochs 2 --out runs/four"
            ),
            (
                "torchrun --standalone --nproc-per-node 4 -m ffcli train --data wider/train --model v1 "
                "--batch-size 8 --epochs 2 --out runs/four"
            ),
        ),
        instead=("--nproc-per-node 4", "--nproc-per-node 1"),
        more=SMALL,
    ),
    Shortened(
        reason="the official set has 3,226 photos, and is refused where it is not whole",
        commands=(
            (
                "featherface eval-widerface --ground-truth wider/gt --data wider/val --model v2 "
                "--protocol original"
            ),
            "featherface eval-widerface --ground-truth wider/gt --predictions somebody/predictions",
            "featherface eval-widerface --ground-truth GT --data PHOTOS --model v2",
            "featherface eval-widerface --ground-truth GT --predictions PREDICTIONS",
        ),
        more="--images list.txt",
    ),
    Shortened(
        reason="the same, with one process",
        commands=(
            (
                "torchrun --standalone --nproc-per-node 4 -m ffcli eval-widerface --ground-truth wider/gt "
                "--data wider/val --model v1.pth"
            ),
        ),
        instead=("--nproc-per-node 4", "--nproc-per-node 1"),
        more="--images list.txt",
    ),
    Shortened(
        reason="thirty rounds",
        commands=(
            "featherface benchmark --model v2 --onnx somebody_else.onnx --size 640 --threads 1",
            "featherface benchmark --model v1.onnx --model v1.pth --onnx other.onnx --size 640 --threads 1",
            (
                "featherface benchmark --model v1-original.pth --model v1.pth --model v2.safetensors "
                "--model v1.onnx --model v2.onnx --onnx scrfd_500m_bnkps.onnx --onnx yunet_n_640.onnx "
                "--size 640 --threads 1 --photo examples/photos/group.jpg"
            ),
        ),
        more="--rounds 1 --warmup 0 --no-memory",
    ),
    Shortened(
        reason="photos by the hundred are learnt from and measured; three have no AP to speak of",
        commands=(
            (
                "featherface export --model v2 --out v2-int8.onnx --int8 --calibrate photos "
                "--ground-truth wider/gt --data wider/val --images list.txt"
            ),
        ),
        more="--max-drop 50",
    ),
    Shortened(
        reason="downloads the runtime; a stand-in lies in the folder",
        commands=("featherface export --model v2 --format web --out site",),
        more="--runtime runtime",
    ),
    Shortened(
        reason="the same, and then serves the folder until it is stopped",
        commands=(
            "featherface export --model v2 --format web --out site && python -m http.server --directory site",
        ),
        less=" && python -m http.server --directory site",
        more="--runtime runtime",
        always=True,
    ),
    Shortened(
        reason="the gate runs the whole line in an environment of its own",
        commands=("pip install . && featherface detect examples/photos --out detections",),
        less="pip install . && ",
        always=True,
    ),
)

ELSEWHERE = (
    Elsewhere(
        reason="installs packages; the gate does it in environments of its own",
        commands=(
            'pip install ".[ray]"',
            'pip install ".[ray]" s3fs',
            'pip install -e ".[dev]"',
            "python3 -m venv .venv && source .venv/bin/activate",
        ),
    ),
    Elsewhere(
        reason="is the gate, or a part of it",
        commands=(
            'pip install ".[dev]" && python -m pytest',
            'pip install ".[browser]" && apt-get install chromium && python -m pytest -n 0 tests/web',
            "python -m pytest",
            "ruff check . && ruff format --check . && mypy",
        ),
    ),
    Elsewhere(
        reason="a test of the gate, for longer",
        commands=(
            "FEATHERFACE_FUZZ=10000 FEATHERFACE_FUZZ_SEED=$RANDOM python -m pytest tests/fuzz",
            "FEATHERFACE_FUZZ=10000 pytest tests/fuzz -n 2",
            "FEATHERFACE_CLUSTER_PHOTOS=20000 python -m pytest -n 0 tests/jobs/test_cluster.py",
            "FEATHERFACE_LONG_RUN=20000 pytest tests/detection/test_long_run.py",
            "FEATHERFACE_AS_WRITTEN=1 FEATHERFACE_REFERENCE=reference python -m pytest -n 0 tests/documents",
        ),
    ),
    Elsewhere(
        reason="starts Ray, which takes half a minute; tests/jobs runs such jobs when asked to",
        commands=("featherface detect photos/ --engine ray --out faces",),
    ),
    Elsewhere(
        reason="needs two machines; test_two_machines makes them",
        commands=(
            "ray start --head --port 6379",
            "ray start --address HOST:6379",
            "featherface detect s3://bucket/photos --engine ray --address auto --out s3://bucket/faces",
            "featherface detect s3://bucket/shards --engine ray --address auto --out s3://bucket/faces",
            "featherface convert s3://bucket/faces --coco faces.json --crops crops",
            "ray stop",
            (
                "torchrun --nnodes 2 --nproc-per-node 4 --rdzv-id faces --rdzv-backend c10d "
                "--rdzv-endpoint HOST:29500 -m ffcli train --data /mnt/wider/train --model v1 "
                "--batch-size 8 --epochs 2 --out /mnt/run"
            ),
        ),
    ),
    Elsewhere(
        reason="serves until it is stopped; tests/web visits such a folder",
        commands=("python -m http.server --directory site",),
    ),
)

# Commands that need what another one leaves, and that one.
AFTER = {
    "python v2-package/usage_example.py photo.jpg copy-with-boxes.jpg": (
        "featherface export --model v2 --package v2-package"
    ),
    "featherface train --data wider/train --model v1 --init v1-small.safetensors --epochs 30 "
    "--set 'model.settings=[\"out_channel=40\"]'": (
        "featherface export --model v1.pth --prune 0.3 --out v1-small.safetensors"
    ),
}
