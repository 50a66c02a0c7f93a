"""Frames from a video or a camera."""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from ffcore.errors import ImageError, InputError, one_line

_USUAL_FPS = 25.0
_FASTEST = 1000.0  # frames per second; beyond it, a container tells the ticks of its clock


class VideoReader:
    """Upright BGR frames of a video file or a camera, one after the other.

    ::

        with VideoReader("party.mp4") as video:
            for frame in video:
                ...

    Args:
        source: A file, or the number of a camera.

    Attributes:
        name: The source as the user knows it.
        fps: Frames per second; 25 where the source does not tell.
        size: Width and height of the upright frames in pixels.
        frames: How many frames the file declares; None for a camera or when it does not tell.
        time: Seconds from the start of the video to the frame handed out last.
        read: Frames handed out so far.

    Raises:
        ImageError: The file is missing or is no video that can be read.
        InputError: The camera cannot be opened, or stops.
    """

    def __init__(self, source: str | Path | int) -> None:
        self.name = f"camera {source}" if isinstance(source, int) else str(source)
        self._camera = isinstance(source, int)
        self._capture = _open_camera(source) if isinstance(source, int) else _open_file(source)
        self._capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        self._next = self._decode()
        if self._next is None:
            self.close()
            if self._camera:
                raise InputError(f"{self.name}: gives no pictures; is another program using it?")
            raise ImageError(self.name, "holds no frame that can be decoded; it may be truncated")
        height, width = self._next.shape[:2]
        self.size = (width, height)
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = float(fps) if math.isfinite(fps) and 0 < fps <= _FASTEST else _USUAL_FPS
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.frames = int(count) if not self._camera and math.isfinite(count) and count >= 1 else None
        self.time = 0.0
        self.read = 0
        self._next_time = self._stamp(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        while self._next is not None:
            frame = self._next
            self.time = self._next_time
            self.read += 1
            self._next = None  # the frame belongs to the caller now; a camera is read when asked, not before
            if not self._camera:
                self._advance()
            yield frame
            if self._camera:
                self._advance()

    @property
    def ended_early(self) -> bool:
        """Whether a file that was read to its end gave clearly fewer frames than it declares.

        Declared numbers are often off by a few; one second and a twentieth of the whole are tolerated.
        """
        if self.frames is None or self._next is not None:
            return False
        return self.frames - self.read > max(self.fps, self.frames / 20)

    def close(self) -> None:
        """Let go of the file or the camera; closing twice does no harm."""
        self._capture.release()
        self._next = None

    def _advance(self) -> None:
        if self._capture.isOpened():
            self._next = self._decode()
            self._next_time = self._stamp(self.read)

    def _decode(self) -> NDArray[np.uint8] | None:
        try:
            done, frame = self._capture.read()
        except cv2.error as error:
            raise ImageError(self.name, f"cannot be decoded: {one_line(error)}") from None
        return np.ascontiguousarray(frame, np.uint8) if done else None

    def _stamp(self, index: int) -> float:
        """Seconds at which a frame is shown; phones film at a rate that varies, so it is not index / fps."""
        seconds = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        if math.isfinite(seconds) and seconds > 0:
            return float(seconds)
        return index / self.fps


def _open_file(source: str | Path) -> cv2.VideoCapture:
    path = Path(source)
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except FileNotFoundError:
        raise ImageError(source, "does not exist") from None
    except (OSError, ValueError) as error:
        try:
            folder = path.is_dir()
        except (OSError, ValueError):
            folder = False
        if folder:
            raise ImageError(source, "is a folder, not a video") from None
        if isinstance(error, PermissionError):
            raise ImageError(source, "may not be read; check its permissions") from None
        raise ImageError(source, f"cannot be read: {one_line(error)}") from None
    if empty:
        raise ImageError(source, "is empty (0 bytes)")
    _probe(source, path)
    # FFmpeg by name where it is built in: the other readers take a name with digits in it for a
    # numbered series of images, and complain aloud.
    backends = cv2.videoio_registry.getBackends()
    backend = cv2.CAP_FFMPEG if cv2.CAP_FFMPEG in backends else cv2.CAP_ANY
    # An absolute path: FFmpeg would take a part before a colon for a protocol.
    capture = cv2.VideoCapture(str(path.absolute()), backend)
    if not capture.isOpened():
        capture.release()
        raise ImageError(source, "is not a video that can be read; it may be truncated or of an unknown kind")
    return capture


def _probe(source: str | Path, path: Path) -> None:
    """Refuse what is no video in words, where PyAV is there; OpenCV would write to the terminal."""
    try:
        av = importlib.import_module("av")
    except ImportError:
        return
    try:
        with av.open(str(path.absolute())) as container:
            has_pictures = bool(container.streams.video)
    except (av.error.FFmpegError, ValueError) as error:
        reason = f"is not a video that can be read; it may be truncated ({one_line(error)})"
        raise ImageError(source, reason) from None
    if not has_pictures:
        raise ImageError(source, "holds no pictures")


def _open_camera(number: int) -> cv2.VideoCapture:
    # Asked before OpenCV is, which would write its own complaint to the terminal.
    absent = sys.platform == "linux" and not Path(f"/dev/video{number}").exists()
    capture = None if absent or number < 0 else cv2.VideoCapture(number)
    if capture is None or not capture.isOpened():
        raise InputError(f"camera {number}: cannot be opened; is it connected, and may this program use it?")
    return capture
