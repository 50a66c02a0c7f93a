"""The one way in for ground truth of any layout."""

from __future__ import annotations

from pathlib import Path

from ffcore.errors import ConfigError, InputError
from ffcore.evaluation.ground_truth import GroundTruth
from ffcore.evaluation.labels import read_coco_ground_truth, read_yolo_ground_truth
from ffcore.evaluation.wider_mat import read_wider_ground_truth


def read_ground_truth(
    path: str | Path, *, data: str | Path | None = None, official: bool = True
) -> GroundTruth:
    """Reads ground truth by what lies at a path.

    Args:
        path: A folder with the official ``.mat`` files, a COCO ``.json`` file, or a folder of YOLO-face
            ``.txt`` labels.
        data: The photos; YOLO labels are relative to their sizes.
        official: As for `read_wider_ground_truth`.

    Raises:
        InputError: Nothing of the three is there, or it is damaged.
        ConfigError: YOLO labels without photos.
    """
    path = Path(path)
    if path.suffix.lower() == ".json":
        return read_coco_ground_truth(path)
    if not path.is_dir():
        raise InputError(f"{path}: no such folder; ground truth is .mat files, a COCO .json or YOLO labels")
    if (path / "label.txt").is_file():
        raise InputError(
            f"{path}: label.txt holds labels to train from; ground truth is .mat files, a COCO .json or "
            "YOLO labels"
        )
    if not any(path.glob("*.mat")) and next(path.rglob("*.txt"), None) is not None:
        if data is None:
            raise ConfigError(f"{path}: YOLO labels are relative to the photos; say where those are (data)")
        return read_yolo_ground_truth(path, images=data)
    return read_wider_ground_truth(path, official=official)
