"""Weights on their way to other machines."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ffcore.detection import FaceDetector
from ffcore.detection.loading import weights_file
from ffcore.errors import CheckpointError

if TYPE_CHECKING:
    from typing import Unpack

    from ffcore.detection.detector import DetectorSettings


@dataclass(frozen=True)
class ModelFile:
    """A file of weights as a value that can be sent: the largest of our networks has two megabytes.

    Args:
        name: Of the file or of the network, for people.
        suffix: Of the file, which says what runs it.
        content: The file.
    """

    name: str
    suffix: str
    content: bytes = field(repr=False)

    @classmethod
    def read(cls, source: str | Path) -> ModelFile:
        """Reads a file of weights on this machine, or takes weights that come with the package.

        Raises:
            CheckpointError: The file is missing or cannot be read.
            UnknownModelError: No such name, or no weights of it.
        """
        path = weights_file(source)
        try:
            return cls(Path(source).name, path.suffix, path.read_bytes())
        except OSError as error:
            raise CheckpointError(path, f"cannot be read: {error.strerror}") from None

    @property
    def sha256(self) -> str:
        """Digest of the content, hexadecimal."""
        return hashlib.sha256(self.content).hexdigest()

    def detector(
        self, *, device: str = "auto", threads: int | None = 1, **settings: Unpack[DetectorSettings]
    ) -> FaceDetector:
        """A detector from these weights; see `FaceDetector.load`.

        Raises:
            CheckpointError: The file is no detector.
            MissingDependencyError: The library or the device is not there.
            ConfigError: A setting is impossible.
        """
        with tempfile.TemporaryDirectory(prefix="featherface-") as folder:
            path = Path(folder, f"{Path(self.name).stem}{self.suffix}")
            path.write_bytes(self.content)
            return FaceDetector.load(path, device=device, threads=threads, **settings)
