"""The four MATLAB files of the WIDER FACE validation set."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ffcore.errors import InputError, one_line
from ffcore.evaluation.ground_truth import GroundTruth, offsets_of
from ffcore.evaluation.mat_file import read_mat

SUBSETS = ("easy", "medium", "hard")
"""The subsets of the validation set; each holds the one before it."""

_ALL_FACES = "wider_face_val.mat"
_CELLS = ("event_list", "file_list", "face_bbx_list")
_INVALID_LIST = "invalid_label_list"

_EVENTS, _IMAGES, _FACES = 61, 3226, 39708
_KEPT = {"easy": 7211, "medium": 13319, "hard": 31958}
_IMAGES_WITHOUT_KEPT = {"easy": 622, "medium": 207, "hard": 7}
_INVALID = 585


def read_wider_ground_truth(folder: str | Path, *, official: bool = True) -> GroundTruth:
    """Read ``wider_face_val.mat`` and the three subset files, and check that they belong together.

    Args:
        folder: Holds the four files.
        official: Also check the facts of the official set (61 events, 3,226 images, 39,708 faces,
            7,211 / 13,319 / 31,958 of them kept, each subset inside the next, no invalid face kept).
            False reads a copy that was cut down.

    Returns:
        The faces in the order of the files, with the subsets `SUBSETS`.

    Raises:
        InputError: A file or a key is missing or damaged, or the files contradict each other or the
            facts; the message names the file, and the image where there is one.
    """
    folder = Path(folder)
    paths = {name: folder / f"wider_{name}_val.mat" for name in SUBSETS}
    absent = [path.name for path in (folder / _ALL_FACES, *paths.values()) if not path.is_file()]
    if absent:
        raise InputError(
            f"{folder}: {', '.join(absent)} not found; "
            f"the ground truth is the four files wider_{{face,easy,medium,hard}}_val.mat"
        )
    known: dict[bytes, NDArray[Any]] = {}  # the lists of faces are the same in all four files
    content = _load(folder / _ALL_FACES, (*_CELLS, _INVALID_LIST) if official else _CELLS, known)
    faces = _faces(folder / _ALL_FACES, content)
    kept = {}
    for name, path in paths.items():
        subset = _load(path, (*_CELLS, "gt_list"), known)
        _check_same(path, _faces(path, subset), faces)
        kept[name] = _kept_rows(path, subset["gt_list"], faces)
    result = GroundTruth(images=faces.images, boxes=faces.boxes, offsets=faces.offsets, kept=kept)
    if official:
        _check_facts(folder, result, invalid=_flags(folder / _ALL_FACES, content[_INVALID_LIST], faces))
    return result


@dataclass(frozen=True, eq=False)
class _Faces:
    events: list[str]
    images: tuple[str, ...]
    boxes: NDArray[np.float64]
    offsets: NDArray[np.int64]


def _load(path: Path, keys: tuple[str, ...], known: dict[bytes, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    try:
        # the keys that the evaluation does not use are two thirds of the reading
        content = read_mat(path.read_bytes(), keys, known=known)
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file; it comes with the official evaluation") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:  # a name that is no text raises one too
        raise InputError(f"{path}: cannot be read as a MATLAB v5 file: {one_line(error)}") from None
    absent = [key for key in keys if key not in content]
    if absent:
        raise InputError(f"{path}: has no {', '.join(absent)}; is it the official file?")
    return content


def _faces(path: Path, content: dict[str, Any]) -> _Faces:
    events = [_text(path, "event_list", cell) for cell in _cells(path, "event_list", content["event_list"])]
    names = _nested(path, "file_list", content["file_list"], events)
    boxes = _nested(path, "face_bbx_list", content["face_bbx_list"], events)
    images: list[str] = []
    rows: list[NDArray[Any]] = []
    for event, name_cells, box_cells in zip(events, names, boxes, strict=True):
        if len(name_cells) != len(box_cells):
            raise InputError(
                f"{path}: event {event} has {len(name_cells)} names in file_list "
                f"and {len(box_cells)} in face_bbx_list"
            )
        images += [f"{event}/{_text(path, 'file_list', cell)}" for cell in name_cells]
        rows += list(box_cells)
    for image, cell in zip(images, rows, strict=True):
        if cell.dtype.kind not in "iuf" or (cell.size and (cell.ndim != 2 or cell.shape[1] != 4)):
            raise InputError(
                f"{path}: face_bbx_list of {image} is {cell.shape} {cell.dtype}, not k x 4 numbers"
            )
    if len(set(images)) != len(images):
        twice = next(image for number, image in enumerate(images) if image in images[:number])
        raise InputError(f"{path}: file_list names {twice} twice")
    return _Faces(
        events=events,
        images=tuple(images),
        boxes=np.concatenate([np.zeros((0, 4)), *(cell.reshape(-1, 4) for cell in rows)]),
        offsets=offsets_of(np.array([cell.size // 4 for cell in rows], dtype=np.int64)),
    )


def _cells(path: Path, key: str, value: Any) -> list[Any]:
    if not isinstance(value, np.ndarray) or value.dtype != np.object_:
        raise InputError(f"{path}: {key} is no cell array")
    return list(value.ravel())


def _nested(path: Path, key: str, value: Any, events: list[str]) -> list[list[Any]]:
    outer = _cells(path, key, value)
    if len(outer) != len(events):
        raise InputError(f"{path}: {key} has {len(outer)} cells for {len(events)} events")
    return [_cells(path, f"{key} of {event}", cell) for event, cell in zip(events, outer, strict=True)]


def _text(path: Path, key: str, cell: Any) -> str:
    if cell.dtype.kind != "U" or cell.size != 1:
        raise InputError(f"{path}: {key} holds a cell that is no name")
    return str(cell.flat[0])


def _check_same(path: Path, subset: _Faces, faces: _Faces) -> None:
    if subset.events != faces.events or subset.images != faces.images:
        raise InputError(f"{path}: its events and images are not those of {_ALL_FACES}, in the same order")
    if np.array_equal(subset.offsets, faces.offsets) and np.array_equal(subset.boxes, faces.boxes):
        return
    for number, image in enumerate(faces.images):
        first, second = (
            each.boxes[each.offsets[number] : each.offsets[number + 1]] for each in (subset, faces)
        )
        if not np.array_equal(first, second):
            raise InputError(f"{path}: the boxes of {image} are not those of {_ALL_FACES}")


def _flat_cells(path: Path, key: str, value: Any, faces: _Faces) -> list[NDArray[Any]]:
    cells = [cell for event in _nested(path, key, value, faces.events) for cell in event]
    if len(cells) != len(faces.images):
        raise InputError(f"{path}: {key} has {len(cells)} cells for {len(faces.images)} images")
    for image, cell in zip(faces.images, cells, strict=True):
        if cell.dtype.kind not in "iuf":
            raise InputError(f"{path}: {key} of {image} holds no numbers")
    return cells


def _kept_rows(path: Path, value: Any, faces: _Faces) -> NDArray[np.bool_]:
    cells = _flat_cells(path, "gt_list", value, faces)
    stored = np.concatenate([np.zeros(0, np.int64), *(cell.ravel() for cell in cells)])
    rows = stored.astype(np.int64) - 1  # they are uint8 and uint16, where 0 - 1 would be a large number
    image = np.repeat(np.arange(len(cells)), [cell.size for cell in cells])
    outside = (rows + 1 != stored) | (rows < 0) | (rows >= np.diff(faces.offsets)[image])
    if outside.any():
        where = int(np.flatnonzero(outside)[0])
        raise InputError(
            f"{path}: gt_list of {faces.images[image[where]]} names row {stored[where]:g}, which is not there"
        )
    times = np.bincount(rows + faces.offsets[image], minlength=len(faces.boxes))
    if (times > 1).any():
        face = int(np.flatnonzero(times > 1)[0])
        number = int(np.searchsorted(faces.offsets, face, side="right")) - 1
        row = face - int(faces.offsets[number]) + 1
        raise InputError(f"{path}: gt_list of {faces.images[number]} names row {row} twice")
    return times.astype(np.bool_)


def _flags(path: Path, value: Any, faces: _Faces) -> NDArray[np.bool_]:
    cells = _flat_cells(path, _INVALID_LIST, value, faces)
    for image, cell, count in zip(faces.images, cells, np.diff(faces.offsets), strict=True):
        if cell.size != count:
            raise InputError(f"{path}: {_INVALID_LIST} of {image} has {cell.size} rows, its boxes {count}")
    flags: NDArray[np.bool_] = np.concatenate([cell.ravel() for cell in cells]) != 0
    return flags


def _check_facts(folder: Path, truth: GroundTruth, *, invalid: NDArray[np.bool_]) -> None:
    number = np.repeat(np.arange(len(truth.images)), truth.face_counts)
    facts: list[tuple[str, str, int, int]] = [
        (_ALL_FACES, "events", _EVENTS, len(set(truth.events))),
        (_ALL_FACES, "images", _IMAGES, len(truth.images)),
        (_ALL_FACES, "image names", _IMAGES, len({name.rpartition("/")[2] for name in truth.images})),
        (_ALL_FACES, "faces", _FACES, len(truth.boxes)),
        (_ALL_FACES, "images without a row", 0, int((truth.face_counts == 0).sum())),
        (_ALL_FACES, "faces flagged invalid", _INVALID, int(invalid.sum())),
    ]
    larger = dict(pairwise(SUBSETS))
    for name, kept in truth.kept.items():
        file = f"wider_{name}_val.mat"
        without = len(truth.images) - len(np.unique(number[kept]))
        facts += [
            (file, "kept faces", _KEPT[name], int(kept.sum())),
            (file, "images without a kept face", _IMAGES_WITHOUT_KEPT[name], without),
            (file, "kept faces flagged invalid", 0, int((kept & invalid).sum())),
        ]
        if name in larger:
            outside = int((kept & ~truth.kept[larger[name]]).sum())
            facts.append((file, f"kept faces outside {larger[name]}", 0, outside))
    for file, what, expected, found in facts:
        if found != expected:
            raise InputError(
                f"{folder / file}: {found:,} {what}, the official set has {expected:,}; "
                "a copy that was cut down must be read as one"
            )
