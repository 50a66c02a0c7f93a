"""A folder with all that somebody needs to use a network without this package."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

from ffcore._version import __version__
from ffcore.detection.facts import PREFIX, DetectorFacts
from ffcore.detection.loading import tensors_file
from ffcore.detection.options import DetectorOptions
from ffcore.errors import InputError
from ffcore.export.job import Exported, export
from ffcore.export.onnx_graph import INPUT_NAME, OPSET, OUTPUT_NAMES
from ffcore.export.parity import Case
from ffcore.models.weights import read_checkpoint

WEIGHTS = ("model.onnx", "model.safetensors", "model.pth")


def export_package(
    source: str | Path,
    folder: str | Path,
    *,
    compared_on: Iterable[Case] | None = None,
) -> Exported:
    """Writes graph, weights, deployment_config.json, usage_example.py and README.md.

    Args:
        source: As for `ffcore.export.job.export`.
        folder: Made by this; must not exist, or be empty. Complete or not at all.
        compared_on: As for `ffcore.export.job.export`.

    Returns:
        What was written and measured for model.onnx.

    Raises:
        InputError: There are files in the folder, or it cannot be written.
        ParityError: The graph differs from its source; nothing was written.
        FeatherFaceError: As for `ffcore.export.job.export`.
    """
    folder = Path(folder)
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(f"{folder}: is not empty; name a new folder for the package")
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror}") from error
    try:
        done = export(source, part / WEIGHTS[0], compared_on=compared_on)
        for name in WEIGHTS[1:]:
            export(source, part / name)
        _write_texts(part, read_checkpoint(tensors_file(source)).facts, done)
        part.chmod(0o755)  # temporary folders are for their owner alone
        if folder.exists():
            folder.rmdir()
        part.replace(folder)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return replace(done, path=folder / WEIGHTS[0])


def _write_texts(part: Path, known: Mapping[str, str], done: Exported) -> None:
    config = deployment_config(known, done)
    config["sha256"] = {name: hashlib.sha256((part / name).read_bytes()).hexdigest() for name in WEIGHTS}
    (part / "deployment_config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    example = resources.files("ffcore.export.package_files") / "usage_example.py"
    (part / "usage_example.py").write_text(example.read_text(encoding="utf-8"), encoding="utf-8")
    lines = "".join(f"| {key} | {value} |\n" for key, value in sorted(known.items()))
    text = _README.format(network=done.network, opset=OPSET, facts=lines)
    (part / "README.md").write_text(text, encoding="utf-8")


def deployment_config(known: Mapping[str, str], done: Exported) -> dict[str, Any]:
    """What a program must know to use a graph, as plain values.

    Args:
        known: Facts of the weights.
        done: The graph.
    """
    facts = DetectorFacts.from_metadata({f"{PREFIX}{key}": value for key, value in known.items()})
    options = DetectorOptions()
    return {
        "network": done.network,
        "version": __version__,
        "opset": OPSET,
        "input": {
            "name": INPUT_NAME,
            "shape": ["batch", 3, "height", "width"],
            "dtype": "float32",
            "channel_order": facts.channel_order,
            "mean": list(facts.mean),
        },
        "outputs": list(OUTPUT_NAMES),
        "anchors": {
            "strides": list(facts.anchors.strides),
            "min_sizes": [list(sizes) for sizes in facts.anchors.min_sizes],
            "variances": list(facts.anchors.variances),
        },
        "score_threshold": options.score if facts.score_threshold is None else facts.score_threshold,
        "nms_threshold": options.nms if facts.nms_threshold is None else facts.nms_threshold,
        "facts": dict(known),
        "parity": done.to_dict()["parity"],
    }


_README = """# FeatherFace {network}

A network that finds faces and five landmarks.

| file | content |
|---|---|
| `model.onnx` | graph and weights, opset {opset}; any batch, height and width |
| `model.safetensors`, `model.pth` | the weights alone, for torch |
| `deployment_config.json` | preprocessing, anchors, thresholds, facts of the weights, SHA-256, parity |
| `usage_example.py` | from a photo to boxes with numpy, OpenCV and ONNX Runtime |

    pip install numpy opencv-python-headless onnxruntime
    python usage_example.py photo.jpg copy-with-boxes.jpg

One line is printed for each face: x1 y1 x2 y2 in pixels, and the score.

## What is known of the weights

| | |
|---|---|
{facts}"""
