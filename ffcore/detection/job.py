"""Detection over everything a user names: photos, videos, cameras, with all that is written on the way."""

from __future__ import annotations

import os
import re
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePath

import numpy as np
from numpy.typing import NDArray

from ffcore.detection.detector import Detection, FaceDetector
from ffcore.detection.hold import hold_faces
from ffcore.errors import ConfigError, ImageError, InputError
from ffcore.events import Advanced, Failed, Noticed, OnEvent, Started, ignore
from ffcore.faces import Faces
from ffcore.geometry.alignment import align_face
from ffcore.images.anonymize import Method, anonymize
from ffcore.images.draw import draw_faces
from ffcore.images.encode import WRITABLE_SUFFIXES, write_image
from ffcore.images.profile import embedded_profile
from ffcore.images.read_ahead import read_ahead
from ffcore.images.sources import Source, real_name
from ffcore.images.video import VideoReader
from ffcore.images.video_writer import WRITABLE_VIDEO_SUFFIXES, VideoWriter
from ffcore.results import ImageFaces, widerface_path, write_widerface

_LIKE_A_SUFFIX = re.compile(r"\.(?!\d+$)[a-z0-9]{2,5}")


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """What a job writes beside handing over its results; nothing by default.

    Args:
        out: Folder for copies with the faces drawn or hidden, or the file itself for a single source. What
            ends in a slash is a folder whatever its name.
        anonymize: How faces are hidden in the copies; None draws them.
        hold: Frames over which a face stays hidden in a video although it is missed.
        crops: Folder for aligned 112×112 crops of all faces.
        widerface: Folder for text files in the layout of the WIDER FACE evaluation.

    Raises:
        ConfigError: Faces should be hidden, but no copies written.
    """

    out: str | Path | None = None
    anonymize: Method | None = None
    hold: int = 8
    crops: Path | None = None
    widerface: Path | None = None

    def __post_init__(self) -> None:
        if self.anonymize is not None and self.out is None:
            raise ConfigError("anonymize needs a place for the changed copies: give out, a folder or a file")
        if self.hold < 0:
            raise ConfigError(f"hold = {self.hold}: 0 frames or more are needed")


@dataclass(frozen=True, eq=False)
class Found:
    """The faces of one photo or of one frame.

    Args:
        source: Where it comes from.
        result: Faces with the name and size of the image; frames are called ``video.mp4#12``.
        seen: Width and height at which the network saw it when it was shrunk, otherwise None.
        frame: Number of the frame, from 0; None for a photo.
        time: Seconds from the start of the video; None for a photo.
    """

    source: Source
    result: ImageFaces
    seen: tuple[int, int] | None = None
    frame: int | None = None
    time: float | None = None


def detect_sources(
    detector: FaceDetector,
    sources: Sequence[Source],
    *,
    outputs: Outputs | None = None,
    max_frames: int | None = None,
    on_event: OnEvent = ignore,
) -> Iterator[Found]:
    """Finds the faces of all sources, one after the other.

    A photo or video that cannot be read or written is reported as `Failed`, and the others go on.

    Args:
        detector: What finds them.
        sources: From `find_sources`.
        outputs: What is written on the way.
        max_frames: Of each video or camera, at most so many.
        on_event: Told about progress, failures and what was shrunk.

    Yields:
        Photos first, then the frames of each video, in the order of `sources`.

    Raises:
        ConfigError: `out` names a file, but there are several sources, or it is one that cannot be written.
        ModelError: The network failed.
    """
    plan = _Plan(outputs or Outputs(), sources)
    photos = [source for source in sources if source.kind == "image"]
    if photos:
        on_event(Started("photos", len(photos)))
        yield from _photos(detector, photos, plan, on_event)
    for source in sources:
        if source.kind != "image":
            try:
                yield from _video(detector, source, plan, max_frames, on_event)
            except InputError as error:
                on_event(Failed(source.name, _reason(source, error)))


class _Plan:
    """Where everything goes."""

    def __init__(self, outputs: Outputs, sources: Sequence[Source]) -> None:
        self.outputs = outputs
        self._out = None if outputs.out is None else Path(outputs.out)
        self._as_file = outputs.out is not None and _names_a_file(outputs.out, sources)
        if outputs.widerface is not None and any(source.kind != "image" for source in sources):
            raise ConfigError("WIDER FACE text files are for photos; leave out the videos")
        self._stems = Counter(str(source.relative.with_suffix("")).casefold() for source in sources)
        self._inputs = {identity for source in sources if (identity := _identity(source.path))}
        self._widerface: dict[PurePath, str] = {}

    def copy_of(self, source: Source) -> Path | None:
        """Where the changed copy goes; never one of the sources."""
        out = self._out
        if out is None:
            return None
        return self._no_input(out if self._as_file else out / self._with_writable_suffix(source))

    def crop_of(self, source: Source, number: int, frame: int | None) -> Path:
        """Where the crop of one face goes."""
        assert self.outputs.crops is not None
        alone = self._stems[str(source.relative.with_suffix("")).casefold()] == 1
        name = source.relative.stem if alone else source.relative.name
        moment = "" if frame is None else f"-f{frame:06d}"
        return self._no_input(
            self.outputs.crops / source.relative.parent / f"{name}{moment}-{number:03d}.png"
        )

    def widerface_name(self, path: Path) -> str:
        """The name under which the WIDER FACE layout knows a photo; no two photos share a result file."""
        # the event is the folder of the photo, also where the user stands in that folder
        whole = str(real_name(path))
        other = self._widerface.setdefault(widerface_path(whole), whole)
        if other != whole:
            raise InputError(f"its WIDER FACE file {widerface_path(whole)} would replace that of {other}")
        return whole

    def _no_input(self, target: Path) -> Path:
        if _identity(target) in self._inputs:
            raise InputError(f"{target}: would overwrite the input; choose another place for the output")
        return target

    @staticmethod
    def _with_writable_suffix(source: Source) -> Path:
        if source.relative.suffix.lower() in _writable(source):
            return source.relative
        # appended, so that a.gif and a.jpg stay two files
        return source.relative.with_name(
            source.relative.name + (".jpg" if source.kind == "image" else ".mp4")
        )


def _names_a_file(out: str | Path, sources: Sequence[Source]) -> bool:
    """Whether the one copy of these sources is to have that name; otherwise it is the name of a folder.

    Raises:
        ConfigError: It is the name of a file, but of none that can be made of the sources.
    """
    suffix = Path(out).suffix.lower()
    known = suffix in (*WRITABLE_SUFFIXES, *WRITABLE_VIDEO_SUFFIXES)
    if str(out).endswith(("/", os.sep)) or Path(out).is_dir() or not sources:
        return False
    if known and len(sources) > 1:
        raise ConfigError(f"{out} is one file, but there are {len(sources)} sources; give a folder")
    (source, *others), writable = sources, _writable(sources[0])
    # Folders have names with dots too, such as faces-v2.1; but who names one file, and something like a file
    # for its copy, wants no folder of that name.
    meant = source.named and not others and _LIKE_A_SUFFIX.fullmatch(suffix)
    if (known or meant) and suffix not in writable:
        what = "photos" if source.kind == "image" else "videos"
        raise ConfigError(
            f"{out}: {what} are not written with the suffix {suffix!r}; use one of {', '.join(writable)}, "
            "or end the name with / for a folder"
        )
    return known


def _writable(source: Source) -> tuple[str, ...]:
    """Suffixes with which its copy can be written."""
    return WRITABLE_SUFFIXES if source.kind == "image" else WRITABLE_VIDEO_SUFFIXES


def _identity(path: Path | None) -> tuple[int, int] | None:
    """What tells whether two paths are the same file, links and letter case aside; None for no file."""
    try:
        facts = path.stat() if path is not None else None
    except OSError:
        return None
    return None if facts is None else (facts.st_dev, facts.st_ino)


def _photos(
    detector: FaceDetector, photos: Sequence[Source], plan: _Plan, on_event: OnEvent
) -> Iterator[Found]:
    waiting: deque[tuple[Source, NDArray[np.uint8]]] = deque()

    def readable() -> Iterator[NDArray[np.uint8]]:
        paths = [source.path for source in photos if source.path is not None]
        for source, image in zip(photos, read_ahead(paths), strict=True):
            if isinstance(image, ImageError):
                on_event(Failed(source.name, image.reason))
            else:
                waiting.append((source, image))
                yield image

    for detection in detector.stream(readable()):
        source, image = waiting.popleft()
        found = Found(source, _named(source.name, detection), seen=_seen(detection))
        try:
            _write(image, found, plan)
        except InputError as error:
            on_event(Failed(source.name, str(error)))
            continue
        _tell_size(found, detector, on_event)
        on_event(Advanced(source.name, len(detection.faces)))
        yield found


def _tell_size(found: Found, detector: FaceDetector, on_event: OnEvent) -> None:
    """Reports that the network saw less than there is, and what would show it more."""
    if found.seen is None:
        return
    hint = "tile" if detector.options.tile is None else "a smaller tile"
    settings: tuple[str, ...] = ("tile",)
    if detector.backend.input_size is None:  # otherwise the network takes no other
        larger = "max_side" if detector.options.size is None else "size"
        hint, settings = f"a larger {larger}, or {hint},", (larger, "tile")
    was, seen = f"{found.result.width}×{found.result.height}", "×".join(map(str, found.seen))
    message = f"{was} was searched at {seen}; {hint} looks closer"
    on_event(Noticed(found.source.name, message, settings))


def _write(image: NDArray[np.uint8], found: Found, plan: _Plan) -> None:
    """Everything that is written for one photo."""
    faces, outputs = found.result.faces, plan.outputs
    target = plan.copy_of(found.source)
    profile = None
    if found.source.path is not None and (target is not None or (outputs.crops is not None and len(faces))):
        profile = embedded_profile(found.source.path)
    if target is not None:
        write_image(target, _changed(image, faces, outputs), profile=profile)
    if outputs.crops is not None:
        _write_crops(image, found, plan, profile)
    if outputs.widerface is not None and found.source.path is not None:
        name = plan.widerface_name(found.source.path)
        named = ImageFaces(name, found.result.width, found.result.height, faces)
        write_widerface(outputs.widerface, [named])


def _changed(image: NDArray[np.uint8], faces: Faces, outputs: Outputs) -> NDArray[np.uint8]:
    if outputs.anonymize is not None:
        return anonymize(image, faces, method=outputs.anonymize)
    return draw_faces(image, faces)


def _write_crops(image: NDArray[np.uint8], found: Found, plan: _Plan, profile: bytes | None = None) -> None:
    for number, landmarks in enumerate(found.result.faces.landmarks):
        try:
            crop = align_face(image, landmarks)
        except InputError:
            continue  # all five points in one place: no face to align
        write_image(plan.crop_of(found.source, number, found.frame), crop, profile=profile)


def _video(
    detector: FaceDetector, source: Source, plan: _Plan, max_frames: int | None, on_event: OnEvent
) -> Iterator[Found]:
    outputs = plan.outputs
    target = plan.copy_of(source)
    with ExitStack() as stack:
        origin = source.path if source.camera is None else source.camera
        assert origin is not None
        video = stack.enter_context(VideoReader(origin))
        total = video.frames if max_frames is None else min(max_frames, video.frames or max_frames)
        on_event(Started(f"frames of {source.name}", total))
        writer = None
        if target is not None:
            sound = source.path if max_frames is None else None
            writer = stack.enter_context(
                VideoWriter(target, fps=video.fps, size=video.size, sound_from=sound)
            )
            if writer.sound_lost:
                on_event(Noticed(source.name, writer.sound_lost))

        def write(frame: NDArray[np.uint8], time: float, faces: Faces) -> None:
            if writer is not None:
                writer.write(_changed(frame, faces, outputs), time=time)

        held = hold_faces(
            ((item, item[1].result.faces) for item in _frames(detector, source, video, max_frames)),
            gap=outputs.hold if outputs.anonymize is not None else 0,
        )
        try:
            for (frame, found), faces in held:
                assert found.time is not None
                if found.frame == 0:
                    _tell_size(found, detector, on_event)
                write(frame, found.time, faces)
                if outputs.crops is not None:
                    _write_crops(frame, found, plan)
                on_event(Advanced(found.result.image, len(found.result.faces)))
                yield found
        except (KeyboardInterrupt, GeneratorExit):  # the caller may be the one who is interrupted
            if source.camera is not None and writer is not None:
                writer.close()  # stopping it by hand is how a camera ends
            raise
        if video.ended_early:
            on_event(
                Failed(source.name, f"ended after {video.read} of {video.frames} frames; it may be truncated")
            )


def _frames(
    detector: FaceDetector, source: Source, video: VideoReader, max_frames: int | None
) -> Iterator[tuple[NDArray[np.uint8], Found]]:
    for number, frame in enumerate(islice(video, max_frames)):
        time = video.time
        detection = detector.detect(frame)
        result = _named(f"{source.name}#{number}", detection)
        yield frame, Found(source, result, seen=_seen(detection), frame=number, time=time)


def _named(name: str, detection: Detection) -> ImageFaces:
    return ImageFaces(name, detection.width, detection.height, detection.faces)


def _seen(detection: Detection) -> tuple[int, int] | None:
    return (detection.seen_width, detection.seen_height) if detection.shrunk else None


def _reason(source: Source, error: InputError) -> str:
    """The message without the name, which the event has already."""
    return str(error).removeprefix(f"{source.name}: ")
