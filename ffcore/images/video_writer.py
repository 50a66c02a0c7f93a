"""Frames into a video file, with the sound of another."""

from __future__ import annotations

import importlib
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from ffcore.errors import ConfigError, InputError
from ffcore.files import replacing
from ffcore.images.video_encoders import AvEncoder, OpenCVEncoder

WRITABLE_VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi")
"""Suffixes that `VideoWriter` understands, in lower case."""


_NEEDS_AV = "sound is only kept with the package av; install it with `pip install av`"


class _Encoder(Protocol):
    keeps_sound: bool
    sound_lost: str | None

    def write(self, frame: NDArray[np.uint8], time: float | None) -> None: ...
    def finish(self) -> None: ...
    def drop(self) -> None: ...


class _Abandoned(Exception):  # noqa: N818 - a signal to `replacing`, never seen outside
    """Tells that the file is not to be finished."""


class VideoWriter:
    """Write BGR frames to a video that appears whole or not at all.

    ::

        with VideoWriter("out.mp4", fps=25, size=(640, 480), sound_from="in.mp4") as video:
            for frame in frames:
                video.write(frame)

    With PyAV the video is H.264 (VP9 in WebM) and the sound is copied without loss; without PyAV
    OpenCV writes MPEG-4 without sound. H.264 needs even sides: an odd one gets its last row or
    column twice. The file takes its name when the block ends well, and is removed when it does not.

    Args:
        path: The file, with the suffix of a video; missing folders above it are made.
        fps: Frames per second.
        size: Width and height of the frames in pixels.
        sound_from: A video whose sound is to be kept.

    Raises:
        InputError: The suffix is none of a video, the folder cannot be written to, the disk is full,
            or no encoder is there.
        ConfigError: `fps` or `size` is impossible, or a frame has another size.
    """

    def __init__(
        self, path: str | Path, *, fps: float, size: tuple[int, int], sound_from: str | Path | None = None
    ) -> None:
        self.path = Path(path)
        if not 0 < fps <= 1000:
            raise ConfigError(f"a video of {fps} frames per second cannot be; 0 < fps <= 1000 is possible")
        if min(size) < 1:
            raise ConfigError(f"a video of {size[0]} × {size[1]} pixels cannot be")
        if self.path.suffix.lower() not in WRITABLE_VIDEO_SUFFIXES:
            raise InputError(
                f"{path}: videos are not written with the suffix {self.path.suffix!r}; "
                f"use one of {', '.join(WRITABLE_VIDEO_SUFFIXES)}"
            )
        self.size = size
        self._written = 0
        self._open = True
        self._encoder: _Encoder | None = None
        self._replacing = replacing(self.path)
        partial = self._replacing.__enter__()
        try:
            self._encoder = self._make_encoder(partial, fps, sound_from)
        except BaseException as error:
            self._abandon(error)
            raise

    def _make_encoder(self, partial: Path, fps: float, sound_from: str | Path | None) -> _Encoder:
        width, height = (side + side % 2 for side in self.size)
        try:
            av = importlib.import_module("av")
        except ImportError:
            lost = None if sound_from is None else _NEEDS_AV
            return OpenCVEncoder(partial, self.path, fps=fps, size=(width, height), sound_lost=lost)
        return AvEncoder(av, partial, self.path, fps=fps, size=(width, height), sound_from=sound_from)

    @property
    def keeps_sound(self) -> bool:
        """Whether sound goes into the file."""
        return self._encoder is not None and self._encoder.keeps_sound

    @property
    def sound_lost(self) -> str | None:
        """Why the sound of `sound_from` does not go into the file; None when it does or there was none."""
        return None if self._encoder is None else self._encoder.sound_lost

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.discard()

    def write(self, frame: NDArray[np.uint8], *, time: float | None = None) -> None:
        """Add one frame.

        Args:
            frame: (H, W, 3) uint8, BGR, of the size of the video.
            time: Seconds from the start at which it is shown, as `VideoReader.time` tells; by default
                1 / fps after the one before. Only then does a film of varying rate keep in step with its
                sound. OpenCV and AVI know constant rates only and ignore it.
        """
        width, height = self.size
        if frame.shape != (height, width, 3) or frame.dtype != np.uint8:
            raise ConfigError(
                f"frames of this video are ({height}, {width}, 3) uint8, got {frame.shape} {frame.dtype}"
            )
        if self._encoder is None or not self._open:
            raise ConfigError(f"{self.path}: this video is closed, no frame can be added")
        try:
            self._encoder.write(_even(frame), time)
        except BaseException as error:
            self._abandon(error)
            raise
        self._written += 1

    def close(self) -> None:
        """Finish the file and give it its name; closing twice does no harm."""
        if not self._open or self._encoder is None:
            return
        try:
            if not self._written:
                raise InputError(f"{self.path}: not written, because there was no frame")
            self._encoder.finish()
        except BaseException as error:
            self._abandon(error)
            raise
        self._open = False
        self._replacing.__exit__(None, None, None)

    def discard(self) -> None:
        """Remove what was written; an older file of the same name stays as it was."""
        self._abandon(_Abandoned())

    def _abandon(self, error: BaseException) -> None:
        """Clean up after `error`; one of the operating system becomes the InputError that explains it."""
        if not self._open:
            return
        self._open = False
        if self._encoder is not None:
            with suppress(Exception):  # it failed already; what matters is that the file is let go of
                self._encoder.drop()
        self._replacing.__exit__(type(error), error, error.__traceback__)


def _even(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = frame.shape[:2]
    if width % 2 or height % 2:
        frame = np.asarray(
            cv2.copyMakeBorder(frame, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE), np.uint8
        )
    return np.ascontiguousarray(frame)
