"""From photos and a detector to prediction files, in a run that can be interrupted and goes on."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ffcore.detection.backend import Backend, RawOutputs
from ffcore.detection.detector import FaceDetector
from ffcore.detection.facts import DetectorFacts
from ffcore.errors import ImageError, InputError
from ffcore.events import Advanced, Failed, OnEvent, Started, ignore
from ffcore.files import write_text
from ffcore.images.kinds import IMAGE_SUFFIXES
from ffcore.images.read_ahead import read_ahead
from ffcore.results import ImageFaces
from ffcore.results.widerface import widerface_text

RUN_FILE = "run.json"
"""Says in a folder of predictions which run they belong to."""


@dataclass(frozen=True)
class PredictionRun:
    """What a process did.

    Args:
        images: Photos that it was given.
        predicted: Photos that it ran now; the others were complete already, or failed.
        failed: Photos that could not be read, with the reason.
        seconds: From the first photo to the last file.
        network_seconds: Of these, in the network.
    """

    images: int
    predicted: int
    failed: dict[str, str]
    seconds: float
    network_seconds: float

    @property
    def busy(self) -> float:
        """The share of the time in which the network ran, 0 to 1."""
        return self.network_seconds / self.seconds if self.seconds else 0.0

    @property
    def images_per_second(self) -> float:
        """Photos predicted each second."""
        return self.predicted / self.seconds if self.seconds else 0.0


class TimedBackend:
    """A backend that adds up how long it ran.

    Args:
        backend: What runs the network.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.seconds = 0.0

    @property
    def name(self) -> str:
        """The library."""
        return self._backend.name

    @property
    def device(self) -> str:
        """What really computes."""
        return self._backend.device

    @property
    def facts(self) -> DetectorFacts:
        """Preprocessing and anchors."""
        return self._backend.facts

    @property
    def input_size(self) -> tuple[int, int] | None:
        """Height and width that the network insists on, or None."""
        return self._backend.input_size

    def run(self, batch: NDArray[np.uint8]) -> RawOutputs:
        """Runs the network; see `ffcore.detection.backend.Backend.run`."""
        start = time.perf_counter()
        try:
            return self._backend.run(batch)
        finally:
            self.seconds += time.perf_counter() - start


def find_photos(folder: str | Path, images: Sequence[str]) -> dict[str, Path]:
    """The file of each image.

    Args:
        folder: Holds ``event/name.jpg``, directly or below ``images``; any image suffix.
        images: ``event/name``, without suffix.

    Returns:
        Image to file, for those that are there; the caller knows which are missing.

    Raises:
        InputError: The folder does not exist, or holds none of the images.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; it should hold event/name.jpg")
    if (folder / "images").is_dir():
        folder = folder / "images"
    found: dict[str, Path] = {}
    listings: dict[Path, dict[str, Path]] = {}
    for image in images:
        parent = folder / Path(image).parent
        if parent not in listings:
            files = sorted(parent.iterdir()) if parent.is_dir() else []
            listings[parent] = {file.stem: file for file in files if file.suffix.lower() in IMAGE_SUFFIXES}
        file = listings[parent].get(Path(image).name)
        if file is not None:
            found[image] = file
    if images and not found:
        raise InputError(f"{folder}: holds none of the {len(images)} images, such as {images[0]}.jpg")
    return found


def begin_run(folder: str | Path, identity: Mapping[str, Any]) -> None:
    """Marks a folder as that of one run, or checks that it is.

    Args:
        folder: For prediction files.
        identity: What must be equal for files to belong together: weights, protocol, version.

    Raises:
        InputError: The folder holds files of another run.
    """
    path = Path(folder) / RUN_FILE
    text = json.dumps(dict(identity), indent=1, sort_keys=True) + "\n"
    if path.exists():
        if path.read_text(encoding="utf-8") != text:
            raise InputError(
                f"{folder}: holds predictions of another run (see {RUN_FILE}); choose another folder"
            )
        return
    if any(Path(folder).glob("*/*.txt")):
        raise InputError(f"{folder}: holds predictions of unknown origin; choose an empty folder")
    write_text(path, text)


def predict(
    detector: FaceDetector,
    photos: Mapping[str, Path],
    folder: str | Path,
    *,
    on_event: OnEvent = ignore,
) -> PredictionRun:
    """Writes a prediction file for every photo that has none yet.

    Each file is whole or not there, so that a run that was killed goes on where it stopped.

    Args:
        detector: With the options of a protocol.
        photos: Image (``event/name``) to file.
        folder: Where ``event/name.txt`` goes.
        on_event: Told about progress and failures.

    Raises:
        ModelError: The network failed.
        InputError: A file cannot be written.
    """
    folder = Path(folder)
    backend = TimedBackend(detector.backend)
    timed = FaceDetector(backend, detector.options)
    waiting = {image: path for image, path in photos.items() if not (folder / f"{image}.txt").exists()}
    failed: dict[str, str] = {}
    on_event(Started("photos", len(waiting)))
    start = time.perf_counter()
    in_network: deque[str] = deque()

    def readable() -> Iterator[NDArray[np.uint8]]:
        for (image, path), outcome in zip(waiting.items(), read_ahead(waiting.values()), strict=True):
            if isinstance(outcome, ImageError):
                failed[image] = outcome.reason
                on_event(Failed(str(path), outcome.reason))
            else:
                in_network.append(image)
                yield outcome

    predicted = 0
    for detection in timed.stream(readable()):
        image = in_network.popleft()
        result = ImageFaces(f"{image}.jpg", detection.width, detection.height, detection.faces)
        write_text(folder / f"{image}.txt", widerface_text(result))
        predicted += 1
        on_event(Advanced(image, len(detection.faces)))
    return PredictionRun(
        images=len(photos),
        predicted=predicted,
        failed=failed,
        seconds=time.perf_counter() - start,
        network_seconds=backend.seconds,
    )
