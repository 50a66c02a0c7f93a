"""What is read from outside: for each kind a folder of good files, those to be damaged, and its readers."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.data.sets import POINTS, UNKNOWN, photo, retinaface
from tests.detection.toys import toy_onnx
from tests.evaluation.mat_files import write_ground_truth

SHIPPED = Path(__file__).parents[2] / "ffcore" / "weights"
_IMAGE_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "ICO", "MPO", "AVIF", "QOI")


@dataclass(frozen=True)
class Kind:
    """One kind of input.

    Args:
        make: Writes good files below a folder and names those that are to be damaged.
        readers: Each reads one of these as a part of the program does.
        text: Whether they are text.
        share: How many inputs it gets, in relation to others; less where one takes long.
    """

    make: Callable[[Path], list[Path]]
    readers: tuple[Callable[[Path], Any], ...]
    text: bool = False
    share: float = 1.0


def _retinaface(folder: Path) -> list[Path]:
    rows = [f"# a/1.jpg\n8 8 20 20 {POINTS} 0.9\n1 1 9.5 9 {UNKNOWN} 0.2", "# a/2.jpg", "# b/3.jpg\n2 2 5 5"]
    return [retinaface(folder, "\n".join(rows) + "\n") / "label.txt"]


def _widerface(folder: Path) -> list[Path]:
    for name in ("a/1.jpg", "b/3.jpg"):
        photo(folder / "images" / name)
    (folder / "wider_face_train_bbx_gt.txt").write_text(
        "a/1.jpg\n2\n1 1 20 20 0 0 0 0 0 0\n5 5 9 9 2 1 0 1 2 1\nb/3.jpg\n0\n0 0 0 0 0 0 0 0 0 0\n"
    )
    return [folder / "wider_face_train_bbx_gt.txt"]


def _coco(folder: Path) -> list[Path]:
    for name in ("a/1.jpg", "b/3.jpg"):
        photo(folder / "images" / name)
    points = [12, 12, 2, 18, 12, 2, 15, 15, 2, 12, 18, 2, 18, 18, 2]
    face = {"category_id": 1, "bbox": [8, 8, 20.5, 20], "keypoints": points, "score": 0.9}
    names = ("a/1.jpg", "b/3.jpg")
    document = {
        "images": [{"id": n, "file_name": name, "width": 64, "height": 48} for n, name in enumerate(names)],
        "annotations": [{**face, "id": n, "image_id": n % 2} for n in range(3)],
        "categories": [{"id": 1, "name": "face"}],
    }
    (folder / "faces.json").write_text(json.dumps(document))
    return [folder / "faces.json"]


def _yolo(folder: Path) -> list[Path]:
    photo(folder / "images" / "1.jpg")
    label = folder / "labels" / "1.txt"
    label.parent.mkdir()
    marks = " ".join(f"{value} 0.4 2" for value in (0.3, 0.5, 0.4, 0.35, 0.45))
    label.write_text(f"0 0.4 0.4 0.2 0.25 {marks}\n0 0.1 0.2 0.05 0.0500\n")
    return [label]


def _predictions(folder: Path) -> list[Path]:
    write_ground_truth(folder / "gt", {"0--Event": {"photo": [(1, 1, 8, 8)]}})
    target = folder / "pred" / "0--Event" / "photo.txt"
    target.parent.mkdir(parents=True)
    target.write_text("photo\n3\n1 1 8 8 0.9\n10.5 2 8 8.25 0.5\n-3 1e1 20 20 0.01\n")
    return [target]


def _mat(folder: Path) -> list[Path]:
    write_ground_truth(folder, {"0--Event": {"photo": [(1, 1, 8, 8), (3, 3, 9, 9)], "other": []}})
    return sorted(folder.glob("*.mat"))


def _toml(folder: Path) -> list[Path]:
    from ffcore.config.layers import to_toml
    from ffcore.distillation.run_config import DistillationRunConfig
    from ffcore.training.run_config import RunConfig

    (folder / "train.toml").write_text(to_toml(RunConfig()), encoding="utf-8")
    (folder / "distill.toml").write_text(to_toml(DistillationRunConfig()), encoding="utf-8")
    return [folder / "train.toml", folder / "distill.toml"]


def _small_network() -> Any:
    from ffcore.models.featherface import build_network
    from ffcore.models.variants import VARIANTS

    return build_network(dataclasses.replace(VARIANTS["v2"], out_channel=16))


def _checkpoints(suffix: str) -> Callable[[Path], list[Path]]:
    def make(folder: Path) -> list[Path]:
        from ffcore.models.weights import save_network

        save_network(_small_network(), folder / f"own{suffix}", facts={"licence": "MIT", "mean": "1,2,3"})
        return [folder / f"own{suffix}"]

    return make


def _onnx(folder: Path) -> list[Path]:
    from ffcore.detection.facts import DetectorFacts

    shipped = folder / "shipped.onnx"
    shipped.write_bytes((SHIPPED / "v2.onnx").read_bytes())
    toys = [toy_onnx(folder / f"toy{n}.onnx", metadata=DetectorFacts().to_metadata()) for n in range(9)]
    return [*toys, shipped]


def _images(folder: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 255, (24, 32, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    files = []
    for kind in _IMAGE_FORMATS:
        target = folder / f"photo.{kind.lower()}"
        try:
            picture.save(target, format=kind, **({"exif": exif} if kind in ("JPEG", "PNG", "WEBP") else {}))
        except (OSError, KeyError):  # this Pillow was built without that format
            target.unlink(missing_ok=True)
            continue
        files.append(target)
    for mode in ("L", "RGBA", "I;16", "CMYK", "1", "P"):
        for kind in ("PNG", "TIFF", "JPEG"):
            content = io.BytesIO()
            try:
                picture.convert("RGBA" if mode == "RGBA" else "L" if mode == "I;16" else mode).convert(
                    mode
                ).save(content, format=kind)
            except (OSError, ValueError):  # a pair that does not exist
                continue
            target = folder / f"photo-{mode.replace(';', '')}.{kind.lower()}"
            target.write_bytes(content.getvalue())
            files.append(target)
    return files


def _read_labels(path: Path) -> None:
    from ffcore.data import read_annotations

    read_annotations(path, check="none")


def _read_yolo_labels(path: Path) -> None:
    from ffcore.data import read_annotations

    read_annotations(path.parent.parent, format="yolo")


def _read_yolo_ground_truth(path: Path) -> None:
    from ffcore.evaluation.any_ground_truth import read_ground_truth

    read_ground_truth(path.parent, data=path.parent.parent / "images")


def _read_coco_ground_truth(path: Path) -> None:
    from ffcore.evaluation.any_ground_truth import read_ground_truth

    read_ground_truth(path)


def _read_coco_results(path: Path) -> None:
    from ffcore.results import read_coco_results

    read_coco_results(path)


def _read_predictions(path: Path) -> None:
    from ffcore.evaluation.any_ground_truth import read_ground_truth
    from ffcore.evaluation.predictions import read_predictions
    from ffcore.evaluation.scoring import evaluate

    truth = read_ground_truth(path.parents[2] / "gt", official=False)
    evaluate(truth, read_predictions(path.parents[1], truth))


def _read_mat(path: Path) -> None:
    from ffcore.evaluation.any_ground_truth import read_ground_truth

    read_ground_truth(path.parent, official=False)


def _read_toml(path: Path) -> None:
    from ffcore.config.layers import read_toml
    from ffcore.distillation.run_config import resolve_distillation
    from ffcore.training.run_config import preset, resolve_run

    resolve = resolve_distillation if path.stem == "distill" else resolve_run
    resolve([preset("v2"), read_toml(path)])


def _read_checkpoint(path: Path) -> None:
    from ffcore.detection.detector import FaceDetector

    FaceDetector.load(path, device="cpu")(np.zeros((64, 64, 3), np.uint8))


def _read_image(path: Path) -> None:
    from ffcore.images import read_image

    read_image(path)


KINDS: dict[str, Kind] = {
    "retinaface": Kind(_retinaface, (_read_labels,), text=True, share=1.5),
    "widerface": Kind(_widerface, (_read_labels,), text=True, share=1.5),
    "coco": Kind(_coco, (_read_labels, _read_coco_ground_truth, _read_coco_results), text=True, share=1.5),
    "yolo": Kind(_yolo, (_read_yolo_labels, _read_yolo_ground_truth), text=True, share=1.5),
    "predictions": Kind(_predictions, (_read_predictions,), text=True, share=0.6),
    "mat": Kind(_mat, (_read_mat,), share=0.6),
    "toml": Kind(_toml, (_read_toml,), text=True),
    "pth": Kind(_checkpoints(".pth"), (_read_checkpoint,), share=0.5),
    "safetensors": Kind(_checkpoints(".safetensors"), (_read_checkpoint,), share=0.5),
    "onnx": Kind(_onnx, (_read_checkpoint,), share=0.3),
    "images": Kind(_images, (_read_image,), share=2.0),
}
