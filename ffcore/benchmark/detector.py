"""One of our detectors in a benchmark: from the file of a photo to its faces."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from ffcore.benchmark.candidate import Around, Sample
from ffcore.benchmark.options import BenchmarkOptions
from ffcore.benchmark.stopwatch import NetworkStopwatch
from ffcore.detection import FaceDetector
from ffcore.detection.facts import PREFIX
from ffcore.detection.graph_backend import GraphBackend
from ffcore.detection.loading import load_backend
from ffcore.detection.views import views
from ffcore.errors import ConfigError
from ffcore.images import read_image


class DetectorCandidate:
    """A whole detector.

    Args:
        path: Of its weights.
        options: How it is run.

    Raises:
        CheckpointError: The file is no detector.
        ConfigError: It does not fit the backend, or its input cannot have the size or the batch.
        MissingDependencyError: The library or the device is not there.
    """

    kind: Literal["detector"] = "detector"

    def __init__(self, path: Path, options: BenchmarkOptions) -> None:
        self.path = path
        self.batch, self.size = options.batch, options.size
        loaded = load_backend(path, backend=options.backend, device=options.device, threads=options.threads)
        fixed = loaded.input_size
        if fixed is not None and fixed != self.size:
            raise ConfigError(f"{path}: only takes inputs of {fixed[0]}x{fixed[1]}; give that as size")
        self.backend = loaded.name
        recommended = FaceDetector(loaded).options
        self._detector = FaceDetector(loaded, replace(recommended, size=self.size, batch=self.batch))
        if isinstance(loaded, GraphBackend):
            batch = loaded.fixed_batch
            # the file would run several times, and the stopwatch would see the last only
            if batch is not None and batch != self.batch:
                raise ConfigError(f"{path}: only takes batches of {batch}; give that as batch")
            self.device, self.facts = loaded.provider, dict(loaded.metadata)
            self._watch = NetworkStopwatch()
        else:
            from ffcore.models.weights import read_checkpoint

            self.device = loaded.device
            self.facts = {f"{PREFIX}{key}": text for key, text in read_checkpoint(path).facts.items()}
            self._watch = NetworkStopwatch(loaded.device)
        loaded.around_network = self._watch.around_network

    def round(self, photo: Path) -> Sample:
        """Each part in turn, and then all at once, as a user calls it."""
        start = time.perf_counter()
        images = [read_image(photo) for _ in range(self.batch)]
        read = time.perf_counter()
        seen = [view for image in images for view in views(image, options=self._detector.options)]
        raw = self._detector.backend.run(np.stack([view.resized.image for view in seen]))
        began, ended = self._watch.began, self._watch.ended
        faces = self._detector.faces_in(seen, raw)
        done = time.perf_counter()

        again = time.perf_counter()
        if self.batch == 1:
            self._detector.detect(photo)
        else:
            for _ in self._detector.stream([photo] * self.batch):
                pass
        end_to_end = time.perf_counter() - again
        around = Around(
            read=read - start,
            preprocess=began - read,
            postprocess=done - ended,
            end_to_end=end_to_end,
            faces=len(faces[0]),
        )
        return Sample(ended - began, around)

    def run(self) -> None:
        """The network alone."""
        self._detector.backend.run(np.zeros((self.batch, *self.size, 3), np.uint8))
