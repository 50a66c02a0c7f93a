"""The two ways to encode a video: PyAV, which can keep sound, and OpenCV, which is always there."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ffcore.errors import InputError, one_line

_CLOCK = 90_000  # ticks per second: the customary clock of MPEG, divisible by the usual frame rates
_QUALITY = "20"  # constant rate factor of H.264, 0..51; at 20 differences are hard to see
_AHEAD = 0.5  # seconds by which sound may run ahead of the pictures, so that players need not seek

# By name, not left to the suffix: of .m4v FFmpeg would make a raw stream without a container.
_CONTAINERS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
    ".avi": "avi",
}
_H264 = ("libx264", "libopenh264", "h264_videotoolbox", "h264_mf", "mpeg4")
_WEBM = ("libvpx-vp9", "libvpx")
_OPTIONS = {
    "libx264": {"crf": _QUALITY, "preset": "fast"},
    "libvpx-vp9": {"crf": "31", "b": "0", "deadline": "realtime", "cpu-used": "6"},
    "libvpx": {"crf": "10", "b": "4M", "deadline": "realtime"},
    "mpeg4": {"qscale": "3"},
}
_KEEPS_TIMES = frozenset(("libx264", "libvpx-vp9", "libvpx"))


# BGR to Y'CbCr by ITU-R BT.601 in its limited range, with an offset as last column.
_BT601 = np.array(
    [
        [24.966 / 255, 128.553 / 255, 65.481 / 255, 16],
        [112.0 / 255, -74.203 / 255, -37.797 / 255, 128],
        [-18.214 / 255, -93.786 / 255, 112.0 / 255, 128],
    ]
)


class AvEncoder:
    """Encodes with PyAV and copies the sound of another file, packet by packet as pictures come.

    Args:
        av: The module, imported by the caller because it is optional.
        partial: Where to write.
        path: How errors name the file; its suffix chooses the container.
        fps: Frames per second.
        size: Width and height in pixels, both even.
        sound_from: A file whose first sound stream is copied.

    Attributes:
        keeps_sound: Whether there is sound to copy and the container takes it.
        sound_lost: Why there is none although the source has some; else None.
    """

    def __init__(
        self,
        av: Any,
        partial: Path,
        path: Path,
        *,
        fps: float,
        size: tuple[int, int],
        sound_from: str | Path | None,
    ) -> None:
        self._av, self._path = av, path
        self._source: Any = None
        self.keeps_sound = False
        self.sound_lost: str | None = None
        self._rate = Fraction(fps).limit_denominator(1001)
        container = _CONTAINERS[path.suffix.lower()]
        with self._explained():
            codec = self._first_codec(_WEBM if container == "webm" else _H264)
            self._out = av.open(str(partial), "w", format=container)
            self._stream = self._out.add_stream(codec, rate=self._rate, options=dict(_OPTIONS.get(codec, {})))
            self._stream.width, self._stream.height = size
            self._stream.pix_fmt = "yuv420p"
            exact = codec in _KEEPS_TIMES and container != "avi"
            self._tick = Fraction(1, _CLOCK) if exact else 1 / self._rate
            self._exact = exact
            self._stream.codec_context.time_base = self._tick
            self._sound = self._open_sound(sound_from) if sound_from is not None else iter(())
        self._waiting: Any = None  # the next packet of sound, not yet due
        self._last = -1  # ticks of the frame before

    def write(self, frame: NDArray[np.uint8], time: float | None) -> None:
        """Encode one (H, W, 3) BGR frame, shown at `time` seconds or 1 / fps after the one before."""
        with self._explained():
            picture = self._av.VideoFrame.from_ndarray(_yuv420(frame), format="yuv420p")
            step = max(1, round(1 / self._rate / self._tick))
            ticks = self._last + step if self._last >= 0 else 0
            if self._exact and time is not None and math.isfinite(time):
                ticks = max(self._last + 1, round(Fraction(time) / self._tick))  # times must rise
            picture.pts, picture.time_base = ticks, self._tick
            self._last = ticks
            for packet in self._stream.encode(picture):
                self._out.mux(packet)
            self._copy_sound(float(ticks * self._tick) + _AHEAD)

    def finish(self) -> None:
        """Encode what is still on its way and close the file."""
        with self._explained():
            for packet in self._stream.encode(None):
                self._out.mux(packet)
            self._copy_sound(float(self._last * self._tick + 1 / self._rate) + _AHEAD)
            self._out.close()
            self._close_source()

    def drop(self) -> None:
        """Let go of all files; what was written is useless."""
        try:
            self._close_source()
        finally:
            if hasattr(self, "_out"):
                self._out.close()

    def _close_source(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            source.close()

    def _first_codec(self, names: tuple[str, ...]) -> str:
        for name in names:
            try:
                self._av.Codec(name, "w")
            except ValueError:  # PyAV's error for a codec it does not have
                continue
            return name
        raise InputError(
            f"{self._path}: this build of PyAV encodes neither {' nor '.join(names)}; use another suffix"
        )

    def _open_sound(self, sound_from: str | Path) -> Iterator[Any]:
        """Packets of sound in time with the pictures; none, with the reason noted, when that cannot be."""
        av = self._av
        try:
            self._source = source = av.open(str(Path(sound_from).absolute()))
        except (av.error.FFmpegError, OSError, ValueError) as error:
            self.sound_lost = f"the sound of {sound_from} cannot be read: {one_line(error)}"
            return iter(())
        if not source.streams.audio:
            return iter(())
        stream = source.streams.audio[0]
        codec = getattr(stream.codec_context.codec, "canonical_name", None) or stream.codec_context.name
        if codec not in self._out.supported_codecs:
            self.sound_lost = (
                f"sound of the kind {codec} does not go into {self._path.suffix}; use .mkv to keep it"
            )
            return iter(())
        try:
            if hasattr(self._out, "add_stream_from_template"):
                target = self._out.add_stream_from_template(stream)
            else:  # PyAV 12 and 13
                target = self._out.add_stream(template=stream)
        except (av.error.FFmpegError, ValueError) as error:
            self.sound_lost = f"sound of the kind {codec} cannot be copied: {one_line(error)}"
            return iter(())
        self.keeps_sound = True
        # Pictures are counted from the first one; what a container puts before it is taken from the sound.
        start = Fraction(0)
        if source.streams.video and source.streams.video[0].start_time is not None:
            start = source.streams.video[0].start_time * source.streams.video[0].time_base
        return self._packets(source, stream, target, round(start / stream.time_base))

    def _packets(self, source: Any, stream: Any, target: Any, offset: int) -> Iterator[Any]:
        try:
            for packet in source.demux(stream):
                if packet.dts is None or packet.pts is None:  # the empty one that marks the end
                    continue
                packet.pts -= offset
                packet.dts -= offset
                if packet.pts * packet.time_base > -_AHEAD:
                    packet.stream = target
                    yield packet
        except self._av.error.FFmpegError as error:
            self.sound_lost = f"the sound breaks off: {one_line(error)}"

    def _copy_sound(self, until: float) -> None:
        while True:
            packet = self._waiting if self._waiting is not None else next(self._sound, None)
            self._waiting = packet
            if packet is None or packet.pts * packet.time_base > until:
                return
            self._waiting = None
            self._out.mux(packet)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Errors of FFmpeg as errors of the operating system where they are that, else as InputError."""
        try:
            yield
        except self._av.error.FFmpegError as error:
            if isinstance(error, OSError) and error.errno:
                raise OSError(error.errno, error.strerror or str(error)) from error
            raise InputError(f"{self._path}: cannot be written: {one_line(error)}") from error


class OpenCVEncoder:
    """Encodes with OpenCV, without sound and at a constant rate.

    Args:
        partial: Where to write.
        path: How errors name the file; its suffix chooses the codec.
        fps: Frames per second.
        size: Width and height in pixels.
        sound_lost: Why there is no sound, when some was wanted.
    """

    def __init__(
        self, partial: Path, path: Path, *, fps: float, size: tuple[int, int], sound_lost: str | None
    ) -> None:
        self.keeps_sound = False
        self.sound_lost = sound_lost
        letters = {".avi": "MJPG", ".webm": "VP80"}.get(path.suffix.lower(), "mp4v")
        code = cv2.VideoWriter.fourcc(*letters)
        self._partial, self._path, self._written = partial, path, 0
        self._writer = cv2.VideoWriter(str(partial), code, fps, size)
        if not self._writer.isOpened():
            raise InputError(f"{path}: OpenCV cannot write this kind of video here; use .mp4, or install av")

    def write(self, frame: NDArray[np.uint8], time: float | None) -> None:  # noqa: ARG002 - it has no use for it
        """Encode one (H, W, 3) BGR frame."""
        self._writer.write(frame)
        self._written += 1

    def finish(self) -> None:
        """Close the file, and read it once: OpenCV does not say when the disk was full."""
        self._writer.release()
        if _frames_in(self._partial) < self._written:
            raise InputError(f"{self._path}: cannot be written whole; is the disk full?")

    def drop(self) -> None:
        """Let go of the file."""
        self._writer.release()


def _frames_in(path: Path) -> int:
    """How many frames can be read."""
    capture, count = cv2.VideoCapture(str(path.absolute())), 0
    while capture.grab():
        count += 1
    capture.release()
    return count


def _yuv420(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H × 3 / 2, W) uint8: the planes of a BGR frame, H.264's usual way to hold colour.

    FFmpeg's own conversion cuts off fractions, by which a video becomes some levels darker each time
    it is written. The matrix is the one with which OpenCV reads, so that colours come back.
    """
    height, width = frame.shape[:2]
    full = cv2.transform(frame, _BT601)
    half = cv2.resize(full, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    planes = np.empty((height * 3 // 2, width), np.uint8)
    planes[:height] = full[..., 0]
    planes[height:] = np.concatenate([half[..., 1].ravel(), half[..., 2].ravel()]).reshape(-1, width)
    return planes
