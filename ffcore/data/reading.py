"""Reads labels of any known layout."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from ffcore.data.coco import read_coco
from ffcore.data.collector import Annotations, Check, Names
from ffcore.data.retinaface import read_retinaface
from ffcore.data.widerface import is_image_name, read_widerface
from ffcore.data.yolo import read_yolo
from ffcore.errors import ConfigError, InputError, did_you_mean

Format = Literal["retinaface", "widerface", "coco", "yolo"]
"""Layouts of labels that can be read."""

_EXPECTED = (
    "label.txt (RetinaFace), wider_face_*_bbx_gt.txt, one COCO .json file, or labels/ with images/ (YOLO)"
)


def read_annotations(
    path: str | Path,
    format: Format | None = None,  # noqa: A002  (the word that users type)
    *,
    images: str | Path | None = None,
    names: Names | None = None,
    check: Check = "header",
    strict: bool = False,
) -> Annotations:
    """Read labelled faces, recognising the layout.

    A folder is looked through in this order: ``label.txt``, a file ``wider_face_*bbx_gt.txt``, the folders
    ``labels`` and ``images``, a single ``.json``. Where RetinaFace and official labels lie side by side the
    former are read, because they have landmarks, and faces that the latter mark invalid are ignored.

    Args:
        path: A folder, or the file with the labels.
        format: The layout, when it is not to be recognised.
        images: The folder of the images, where it is not the usual one.
        names: The images wanted: a list, or a text file with one a line; all by default.
        check: How far images are looked at: "none", "header", or "pixels", which decodes each.
        strict: Whether defects are an error; else they are counted in the report, and what can be used is.

    Raises:
        InputError: There are no labels, or none of their images can be used; or a defect, with `strict`.
        ConfigError: The format is unknown.
    """
    path = Path(path)
    if format is not None and format not in get_args(Format):
        raise ConfigError(f"format = {format!r} is unknown; {did_you_mean(str(format), get_args(Format))}")
    if not path.exists():
        raise InputError(f"{path}: does not exist; name a folder with labels, or the file itself")
    file, found = (
        (_in_folder(path) if format is None else _of_format(path, format))
        if path.is_dir()
        else (
            path,
            format or _of_file(path),
        )
    )
    if found == "retinaface":
        official = _files(file.parent, "widerface")
        return read_retinaface(
            file,
            images=images,
            invalid_from=official[0] if len(official) == 1 else None,
            names=names,
            check=check,
            strict=strict,
        )
    read = {"widerface": read_widerface, "coco": read_coco, "yolo": read_yolo}
    return read[found](file, images=images, names=names, check=check, strict=strict)


def _in_folder(folder: Path) -> tuple[Path, Format]:
    for format_ in get_args(Format)[:2]:
        if candidates := _files(folder, format_):
            return _only(folder, candidates), format_
    if (folder / "labels").is_dir() and (folder / "images").is_dir():
        return folder, "yolo"
    if candidates := _files(folder, "coco"):
        return _only(folder, candidates), "coco"
    raise InputError(f"{folder}: holds no labels; {_EXPECTED} is expected")


def _of_format(folder: Path, format_: Format) -> tuple[Path, Format]:
    if format_ == "yolo":
        return folder, format_
    candidates = _files(folder, format_)
    if not candidates:
        raise InputError(f"{folder}: holds no labels of the format {format_}; name the file itself")
    return _only(folder, candidates), format_


def _files(folder: Path, format_: Format) -> list[Path]:
    pattern = {"retinaface": "label.txt", "widerface": "wider_face_*bbx_gt.txt", "coco": "*.json"}[format_]
    return sorted(path for path in folder.glob(pattern) if path.is_file())


def _only(folder: Path, candidates: list[Path]) -> Path:
    if len(candidates) > 1:
        listed = ", ".join(path.name for path in candidates[:5])
        raise InputError(f"{folder}: holds {len(candidates)} files of labels ({listed}); name one of them")
    return candidates[0]


def _of_file(path: Path) -> Format:
    if path.suffix.lower() == ".json":
        return "coco"
    try:
        with path.open(encoding="utf-8-sig") as lines:
            first = next((line.strip() for line in lines if line.strip()), "")
    except (OSError, UnicodeDecodeError):
        first = ""
    if first.startswith("#"):
        return "retinaface"
    if is_image_name(first):
        return "widerface"
    raise InputError(f"{path}: is no file of labels that is known; {_EXPECTED} is expected")
