from __future__ import annotations

import errno
import importlib
import math
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from ffcore.errors import ConfigError, ImageError, InputError
from ffcore.images import WRITABLE_VIDEO_SUFFIXES, VideoReader, VideoWriter
from ffcore.images.video_encoders import OpenCVEncoder

av = pytest.importorskip("av")

FPS = 20


def frame(index: int, width: int = 64, height: int = 48) -> NDArray[np.uint8]:
    """Grey that tells its index, brighter at the top left."""
    image = np.full((height, width, 3), 40 + 10 * (index % 20), np.uint8)
    image[: height // 3, : width // 3] = 250
    return image


def index_of(image: NDArray[np.uint8]) -> int:
    return round(
        (float(image[-8:, -8:].mean()) - 37) / 10
    )  # decoders cut fractions off, which darkens a little


def make(
    path: Path,
    *,
    count: int = 20,
    sound: str | None = "aac",
    rotation: int = 0,
    delay: float = 0.0,
    fps: int = FPS,
) -> Path:
    """A video whose sound is a 440 Hz tone; `delay` shifts all times of the container."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=fps, options={"crf": "10"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        if rotation:
            if not hasattr(video, "set_display_rotation"):
                pytest.skip("this version of PyAV cannot mark a video as rotated")
            video.set_display_rotation(rotation)
        audio: Any = container.add_stream(sound, rate=48_000) if sound else None
        for index in range(count):
            picture = av.VideoFrame.from_ndarray(frame(index), format="bgr24")
            picture.pts, picture.time_base = index + round(delay * fps), Fraction(1, fps)
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
        if audio:
            tone = (
                np.sin(2 * math.pi * 440 * np.arange(48_000 * count // fps) / 48_000).astype(np.float32) * 0.5
            )
            for start in range(0, len(tone), 1024):
                chunk = np.stack([tone[start : start + 1024]] * 2)
                if sound == "pcm_s16le":
                    packed = (chunk.T * 32767).astype(np.int16).reshape(1, -1)
                    piece = av.AudioFrame.from_ndarray(packed, format="s16", layout="stereo")
                else:
                    piece = av.AudioFrame.from_ndarray(chunk, format="fltp", layout="stereo")
                piece.sample_rate = 48_000
                piece.pts, piece.time_base = start + round(delay * 48_000), Fraction(1, 48_000)
                container.mux(audio.encode(piece))
            container.mux(audio.encode(None))
    return path


def sound_of(path: Path) -> tuple[str, float, float, bytes] | None:
    """Codec, first time, last time and the packets of the first sound stream."""
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return None
        stream = container.streams.audio[0]
        packets = [packet for packet in container.demux(stream) if packet.dts is not None]
        times = [float(packet.pts * packet.time_base) for packet in packets]
        return (
            stream.codec_context.name,
            min(times),
            max(times),
            b"".join(bytes(packet) for packet in packets),
        )


def copy(
    source: Path, target: Path, change: Callable[[NDArray[np.uint8]], NDArray[np.uint8]] | None = None
) -> VideoWriter:
    with (
        VideoReader(source) as reader,
        VideoWriter(target, fps=reader.fps, size=reader.size, sound_from=source) as writer,
    ):
        for image in reader:
            writer.write(change(image) if change else image, time=reader.time)
    return writer


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("film") / "a film.mp4")


def test_a_reader_knows_size_rate_and_number_and_gives_every_frame_once(film: Path) -> None:
    with VideoReader(film) as reader:
        assert reader.size == (64, 48)
        assert reader.fps == pytest.approx(FPS)
        assert reader.frames == 20
        images, times = [], []
        for image in reader:
            images.append(image)
            times.append(reader.time)
    assert [index_of(image) for image in images] == list(range(20))
    assert times == pytest.approx([index / FPS for index in range(20)], abs=1e-3)
    assert not reader.ended_early
    assert all(image.flags.c_contiguous and image.dtype == np.uint8 for image in images)


@pytest.mark.parametrize(("rotation", "corner"), [(90, (-1, 0)), (-90, (0, -1)), (180, (-1, -1))])
def test_frames_are_turned_upright_as_the_video_says(
    tmp_path: Path, rotation: int, corner: tuple[int, int]
) -> None:
    path = make(tmp_path / "phone.mp4", rotation=rotation, sound=None, count=3)
    with VideoReader(path) as reader:
        assert reader.size == ((64, 48) if rotation == 180 else (48, 64))
        first = next(iter(reader))
    y, x = (3 if side == 0 else -4 for side in corner)
    assert first[y, x].min() > 230  # the bright corner was stored at the top left
    assert (first.min(axis=2) > 200).sum() < 64 * 48 / 6


def test_a_rotated_video_is_written_upright_and_not_turned_twice(tmp_path: Path) -> None:
    source = make(tmp_path / "phone.mp4", rotation=90, count=4)
    copy(source, tmp_path / "out.mp4")
    with VideoReader(source) as before, VideoReader(tmp_path / "out.mp4") as after:
        assert after.size == before.size
        assert np.abs(next(iter(before)).astype(int) - next(iter(after))).mean() < 4


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".m4v", ".avi"])
def test_sound_is_copied_packet_by_packet(film: Path, tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f"out{suffix}"
    writer = copy(film, target)
    assert writer.keeps_sound
    assert writer.sound_lost is None
    before, after = sound_of(film), sound_of(target)
    assert before is not None
    assert after is not None
    assert after[0] == before[0] == "aac"
    assert after[3] == before[3]
    assert after[1:3] == pytest.approx(before[1:3], abs=0.06)
    with VideoReader(target) as reader:
        assert [index_of(image) for image in reader] == list(range(20))


@pytest.mark.parametrize("fps", [1, 3])
def test_sound_is_kept_to_the_end_of_the_last_frame(tmp_path: Path, fps: int) -> None:
    source = make(tmp_path / "slow.mp4", count=4, fps=fps)
    copy(source, tmp_path / "out.mp4")
    before, after = sound_of(source), sound_of(tmp_path / "out.mp4")
    assert before is not None
    assert after is not None
    assert after[3] == before[3]


def test_sound_ends_soon_after_the_last_frame_that_was_written(film: Path, tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "out.mp4", fps=FPS, size=(64, 48), sound_from=film) as writer:
        for index in range(4):
            writer.write(frame(index))
    after = sound_of(tmp_path / "out.mp4")
    assert after is not None
    assert 0.2 < after[2] < 0.75


def test_times_of_a_container_that_does_not_begin_at_zero_stay_in_step(tmp_path: Path) -> None:
    source = make(tmp_path / "late.mkv", delay=3.0)
    copy(source, tmp_path / "out.mkv")
    after = sound_of(tmp_path / "out.mkv")
    assert after is not None
    assert -0.1 < after[1] < 0.1
    with VideoReader(tmp_path / "out.mkv") as reader:
        assert len(list(reader)) == 20


def test_a_film_of_varying_rate_keeps_its_times(tmp_path: Path) -> None:
    wanted = [0.0, 0.05, 0.3, 0.35, 1.0, 1.04]
    with VideoWriter(tmp_path / "a.mp4", fps=20, size=(64, 48)) as writer:
        for index, time in enumerate(wanted):
            writer.write(frame(index), time=time)
    with VideoReader(tmp_path / "a.mp4") as reader:
        assert [reader.time for _ in reader] == pytest.approx(wanted, abs=2e-3)


def test_times_that_do_not_rise_lose_no_frame(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", fps=20, size=(64, 48)) as writer:
        for index, time in enumerate([0.0, 0.5, 0.5, 0.2, math.nan, 0.9]):
            writer.write(frame(index), time=time)
    with VideoReader(tmp_path / "a.mp4") as reader:
        assert [index_of(image) for image in reader] == list(range(6))


def test_sound_that_the_container_does_not_take_is_left_out_and_said_so(tmp_path: Path) -> None:
    source = make(tmp_path / "a.mkv")
    writer = copy(source, tmp_path / "out.webm")
    assert not writer.keeps_sound
    assert writer.sound_lost is not None
    assert "aac" in writer.sound_lost
    assert sound_of(tmp_path / "out.webm") is None


def test_uncompressed_sound_is_kept_in_matroska(tmp_path: Path) -> None:
    source = make(tmp_path / "a.avi", sound="pcm_s16le")
    assert copy(source, tmp_path / "out.mkv").keeps_sound


def test_a_silent_film_loses_nothing(tmp_path: Path) -> None:
    writer = copy(make(tmp_path / "a.mp4", sound=None), tmp_path / "out.mp4")
    assert (writer.keeps_sound, writer.sound_lost) == (False, None)


def test_a_sound_source_that_cannot_be_read_does_not_stop_the_pictures(tmp_path: Path) -> None:
    (tmp_path / "no film").write_bytes(b"nothing of the kind")
    for source in ("no film", "missing"):
        with VideoWriter(tmp_path / "a.mp4", fps=5, size=(64, 48), sound_from=tmp_path / source) as writer:
            writer.write(frame(0))
        assert not writer.keeps_sound
        assert "cannot be read" in str(writer.sound_lost)


def test_without_pyav_opencv_writes_and_says_that_sound_is_lost(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = importlib.import_module

    def without(name: str, package: str | None = None) -> Any:
        if name == "av":
            raise ImportError(name)
        return load(name, package)

    monkeypatch.setattr(importlib, "import_module", without)
    for suffix in (".mp4", ".avi"):
        target = tmp_path / f"out{suffix}"
        writer = copy(film, target)
        assert not writer.keeps_sound
        assert "pip install av" in str(writer.sound_lost)
        assert sound_of(target) is None
        with VideoReader(target) as reader:
            assert [index_of(image) for image in reader] == list(range(20))
    with VideoWriter(tmp_path / "b.mp4", fps=5, size=(64, 48)) as writer:
        writer.write(frame(0))
    assert writer.sound_lost is None


@pytest.mark.parametrize("suffix", ["mp4", "avi", "mkv"])
def test_without_pyav_a_video_that_did_not_fit_on_the_disk_is_no_video(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    writer = VideoWriter(tmp_path / f"a.{suffix}", fps=10, size=(64, 48))
    for index in range(20):
        writer.write(frame(index))
    encoder = writer._encoder
    assert isinstance(encoder, OpenCVEncoder)
    encoder._writer.release()  # all of it is on the disk now, and the second half is lost
    partial = encoder._partial
    partial.write_bytes(partial.read_bytes()[: partial.stat().st_size // 2])
    with pytest.raises(InputError, match="cannot be written whole"):
        writer.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [(63, 47), (64, 47), (1, 1), (33, 48)])
def test_odd_sides_are_made_even_by_repeating_the_last_pixels(tmp_path: Path, size: tuple[int, int]) -> None:
    with VideoWriter(tmp_path / "a.mp4", fps=10, size=size) as writer:
        for index in range(3):
            writer.write(frame(index, *size))
    with VideoReader(tmp_path / "a.mp4") as reader:
        assert reader.size == (size[0] + size[0] % 2, size[1] + size[1] % 2)
        assert len(list(reader)) == 3


@pytest.mark.parametrize("suffix", WRITABLE_VIDEO_SUFFIXES)
def test_every_suffix_gives_a_video_that_reads_back(tmp_path: Path, suffix: str) -> None:
    with VideoWriter(tmp_path / f"ä{suffix}", fps=29.97, size=(64, 48)) as writer:
        for index in range(12):
            writer.write(frame(index))
    assert [each.name for each in tmp_path.iterdir()] == [f"ä{suffix}"]
    with VideoReader(tmp_path / f"ä{suffix}") as reader:
        assert [index_of(image) for image in reader] == list(range(12))
        assert reader.fps == pytest.approx(29.97, abs=0.5)


def test_a_video_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"older")

    def stop_halfway() -> None:
        with VideoWriter(path, fps=5, size=(64, 48)) as writer:
            writer.write(frame(0))
            assert path.read_bytes() == b"older"
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        stop_halfway()
    assert path.read_bytes() == b"older"
    assert [each.name for each in tmp_path.iterdir()] == ["a.mp4"]


def test_an_error_of_the_caller_is_not_taken_for_one_of_writing(tmp_path: Path) -> None:
    def fail() -> None:
        with VideoWriter(tmp_path / "a.mp4", fps=5, size=(64, 48)) as writer:
            writer.write(frame(0))
            raise FileNotFoundError("something else")

    with pytest.raises(FileNotFoundError, match="something else"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_an_error_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: object, frame: object, time: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("ffcore.images.video_encoders.AvEncoder.write", full)
    with (
        pytest.raises(InputError, match=r"a\.mp4: cannot be written, the disk is full"),
        VideoWriter(tmp_path / "a.mp4", fps=5, size=(64, 48)) as writer,
    ):
        writer.write(frame(0))
    assert list(tmp_path.iterdir()) == []


def test_a_video_without_frames_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no frame"), VideoWriter(tmp_path / "a.mp4", fps=5, size=(64, 48)):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_closed_writer_takes_no_frame_and_closing_twice_does_no_harm(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "a.mp4", fps=5, size=(64, 48))
    writer.write(frame(0))
    writer.close()
    writer.close()
    writer.discard()
    assert (tmp_path / "a.mp4").is_file()
    with pytest.raises(ConfigError, match="closed"):
        writer.write(frame(1))


def test_impossible_writers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="suffix"):
        VideoWriter(tmp_path / "a.xyz", fps=5, size=(64, 48))
    with pytest.raises(ConfigError, match="per second"):
        VideoWriter(tmp_path / "a.mp4", fps=0, size=(64, 48))
    with pytest.raises(ConfigError, match="0 × 48"):
        VideoWriter(tmp_path / "a.mp4", fps=5, size=(0, 48))
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="part of its path is a file"):
        VideoWriter(tmp_path / "file" / "a.mp4", fps=5, size=(64, 48))
    with (
        pytest.raises(ConfigError, match="frames of this video"),
        VideoWriter(tmp_path / "a.mp4", fps=5, size=(64, 48)) as writer,
    ):
        writer.write(frame(0, 32, 32))
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.mp4", None, "does not exist"),
        ("empty.mp4", b"", "is empty"),
        ("text.mp4", b"not a film at all, but a text\n" * 50, "not a video"),
        ("00012.mp4", b"\x00\x00\x00\x18ftypmp42" + bytes(500), "not a video"),
    ],
)
def test_a_file_that_is_no_video_says_so(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ImageError, match=message) as caught:
        VideoReader(tmp_path / name)
    assert str(caught.value).startswith(str(tmp_path / name))
    assert "\n" not in str(caught.value)


def test_what_is_no_video_is_refused_without_a_word_on_stderr(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.mp4").write_bytes(b"\x00\x00\x00\x18ftypmp42" + bytes(500))
    with pytest.raises(ImageError):
        VideoReader(tmp_path / "a.mp4")
    assert capfd.readouterr() == ("", "")


def test_a_file_with_sound_only_holds_no_pictures(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        audio = container.add_stream("aac", rate=48_000)
        piece = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
        piece.sample_rate = 48_000
        container.mux(audio.encode(piece))
        container.mux(audio.encode(None))
    with pytest.raises(ImageError, match="no pictures"):
        VideoReader(tmp_path / "a.mp4")


def test_a_folder_is_no_video(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="is a folder"):
        VideoReader(tmp_path)


def test_a_camera_that_is_not_there_says_so() -> None:
    for number in (-1, 97):
        with pytest.raises(InputError, match=f"camera {number}: cannot be opened"):
            VideoReader(number)


def test_a_video_that_breaks_off_is_noticed(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", count=34, sound=None)
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.pts is not None]
        cut = packets[3].pos
    data = bytearray(path.read_bytes())
    moov = data.rindex(b"moov") - 4
    data[cut:moov] = bytes(moov - cut)  # the index is whole, the pictures are gone
    path.write_bytes(data)
    with VideoReader(path) as reader:
        assert reader.frames == 34
        assert len(list(reader)) < 10
        assert reader.ended_early


def test_a_reader_that_is_closed_gives_no_more_frames(film: Path) -> None:
    reader = VideoReader(film)
    images = iter(reader)
    next(images)
    reader.close()
    reader.close()
    assert list(images) == []


def test_a_camera_is_read_when_asked_and_has_no_number_of_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    class Camera:
        def __init__(self) -> None:
            self.given = 0

        def read(self) -> tuple[bool, NDArray[np.uint8] | None]:
            self.given += 1
            return (True, frame(self.given)) if self.given <= 4 else (False, None)

        def isOpened(self) -> bool:  # noqa: N802
            return True

        def get(self, what: int) -> float:
            return {cv2.CAP_PROP_FPS: 0.0}.get(what, -1.0)

        def set(self, what: int, value: float) -> bool:
            return False

        def release(self) -> None:
            pass

    camera = Camera()
    monkeypatch.setattr("ffcore.images.video._open_camera", lambda _: camera)
    with VideoReader(0) as reader:
        assert (reader.frames, reader.fps, reader.size, reader.name) == (None, 25.0, (64, 48), "camera 0")
        images = iter(reader)
        assert index_of(next(images)) == 1
        assert camera.given == 1
        assert [index_of(image) for image in images] == [2, 3, 4]
        assert not reader.ended_early


def test_colours_of_what_is_written_come_back(tmp_path: Path) -> None:
    colours = [
        (0, 0, 0),
        (255, 255, 255),
        (128, 128, 128),
        (30, 60, 220),
        (220, 60, 30),
        (40, 200, 60),
        (150, 170, 215),
    ]
    with VideoWriter(tmp_path / "a.mp4", fps=10, size=(64, 48)) as writer:
        for colour in colours:
            writer.write(np.full((48, 64, 3), colour, np.uint8))
    with VideoReader(tmp_path / "a.mp4") as reader:
        for colour, image in zip(colours, reader, strict=True):
            assert np.abs(image.mean(axis=(0, 1)) - colour).max() < 5, colour
