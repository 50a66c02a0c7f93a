"""Photos in, faces out."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict, overload

import numpy as np
from numpy.typing import NDArray

from ffcore.detection.backend import Backend, RawOutputs
from ffcore.detection.facts import DetectorFacts
from ffcore.detection.loading import Library, load_backend
from ffcore.detection.options import DetectorOptions
from ffcore.detection.postprocess import postprocess
from ffcore.detection.views import View, views
from ffcore.errors import ConfigError, ModelError
from ffcore.faces import Faces
from ffcore.geometry.boxes import areas, pairwise_coverage
from ffcore.geometry.nms import nms
from ffcore.geometry.voting import vote
from ffcore.images import read_image

if TYPE_CHECKING:
    from typing import Unpack

    from PIL.Image import Image

    ImageSource: TypeAlias = str | Path | bytes | Image | NDArray[Any]

BATCH_PIXELS = 8 * 640 * 640
"""Inputs of one run together have no more pixels than this, unless a single one has."""


PIECE_INSIDE = 0.7
"""A box of a close look is a piece of a large face when more than this part of it lies inside, 0..1."""

PIECE_AREA = 0.75
"""And when it has less than this part of its area; else both are one face, and the better score counts."""

PIECE_SCORE = 0.8
"""And when the large face has at least this part of its score: a doubtful one takes nothing away."""


class DetectorSettings(TypedDict, total=False):
    """The fields of `DetectorOptions` as keyword arguments."""

    score: float
    nms: float
    candidates: int
    max_faces: int
    max_side: int | None
    size: int | tuple[int, int] | None
    short_sides: tuple[int, ...]
    multiple: int
    mirror: bool
    merge: Literal["nms", "vote"]
    tile: int | None
    close_ups: bool
    batch: int
    clip: bool


@dataclass(frozen=True, eq=False)
class Detection:
    """The faces of one photo and how they were looked for.

    Args:
        faces: By descending score, in photo pixels.
        width: Of the photo, pixels.
        height: Of the photo, pixels.
        seen_width: Columns that the photo, or the finest look at a part of it, would have had in the
            network's input, pixels.
        seen_height: The same for rows.
        views: How many inputs of the network it took.
    """

    faces: Faces
    width: int
    height: int
    seen_width: int
    seen_height: int
    views: int

    @property
    def shrunk(self) -> bool:
        """Whether the network saw less than the photo holds, so that small faces may be missing."""
        return self.seen_width < self.width or self.seen_height < self.height


class FaceDetector:
    """Finds faces and five landmarks in photos.

    It keeps nothing between calls and may be used from several threads.

    Args:
        backend: What runs the network.
        options: How to look; the defaults when None.

    Raises:
        ConfigError: The options ask for an input size that the network does not take.

    Example:
        >>> detector = FaceDetector.load("v1.onnx")  # doctest: +SKIP
        >>> faces = detector("photo.jpg")  # doctest: +SKIP
    """

    def __init__(self, backend: Backend, options: DetectorOptions | None = None) -> None:
        self.backend = backend
        self.options = options or recommended_options(backend.facts, {})
        self._source = ""
        fixed, wanted = backend.input_size, self.options.input_size
        if fixed is not None and wanted is not None and fixed != wanted:
            raise ConfigError(
                f"the network only takes inputs of {fixed[0]} x {fixed[1]} (height x width), not "
                f"{wanted[0]} x {wanted[1]}; leave out size"
            )

    @classmethod
    def load(
        cls,
        source: str | Path,
        *,
        backend: Library | None = None,
        device: str = "auto",
        threads: int | None = None,
        **settings: Unpack[DetectorSettings],
    ) -> FaceDetector:
        """A detector from a file of weights, or from weights that come with the package.

        Args:
            source: A ``.onnx``, ``.pth``, ``.pt``, ``.tar`` or ``.safetensors`` file, or a name.
            backend: What must run it; None takes what fits the file.
            device: "auto", "cpu", "cuda" or a name that the backend knows.
            threads: Of the CPU, for one run; None leaves it to the backend. For torch this is a setting of
                the whole process.
            **settings: Fields of `DetectorOptions`. Thresholds that are not given are those that the file
                recommends, if it does.

        Raises:
            CheckpointError: The file is no detector.
            UnknownModelError: No such name, or no weights of it.
            MissingDependencyError: The library or the device is not there.
            ConfigError: A setting is impossible.
        """
        DetectorOptions(**settings)  # before the file is loaded, so that a slip costs no time
        loaded = load_backend(source, backend=backend, device=device, threads=threads)
        detector = cls(loaded, recommended_options(loaded.facts, settings))
        detector._source = str(source)
        return detector

    @overload
    def __call__(self, images: ImageSource) -> Faces: ...  # type: ignore[overload-overlap]  # text is a sequence of texts

    @overload
    def __call__(self, images: Sequence[ImageSource]) -> list[Faces]: ...

    def __call__(self, images: ImageSource | Sequence[ImageSource]) -> Faces | list[Faces]:
        """Find the faces of a photo, or of each photo in a list.

        Args:
            images: A path, bytes, a Pillow image or a BGR array as `ffcore.images.read_image` takes it,
                or a list or tuple of them. Photos of a list that have the same size run as one batch.

        Returns:
            Faces by descending score in photo pixels, or a list of these in the order of the photos.

        Raises:
            ImageError: A photo cannot be read.
            ModelError: The network failed.
        """
        if isinstance(images, list | tuple):
            return [detection.faces for detection in self.stream(images)]
        return self.detect(images).faces  # type: ignore[arg-type]  # not a sequence any more

    def detect(self, image: ImageSource) -> Detection:
        """Find the faces of one photo and say how; see `__call__`."""
        queue = _Queue(self)
        queue.put(read_image(image))
        queue.flush()
        return next(queue.finished())

    def stream(self, images: Iterable[ImageSource]) -> Iterator[Detection]:
        """Find faces in many photos without holding more of them than a batch needs.

        Args:
            images: Read one by one, a few ahead of the results.

        Yields:
            One detection per photo, in their order.

        Raises:
            ImageError: A photo cannot be read.
            ModelError: The network failed.
        """
        with ThreadPoolExecutor(max_workers=1) as network:
            queue = _Queue(self, network)
            try:
                for source in images:
                    queue.put(read_image(source))
                    yield from queue.finished()
                queue.flush()
                yield from queue.finished()
            finally:
                network.shutdown(wait=True, cancel_futures=True)

    def faces_in(self, batch: Sequence[View], raw: RawOutputs) -> list[Faces]:
        """Faces of views whose inputs have equal size, in photo pixels.

        Args:
            batch: The views.
            raw: What the network said about them.

        Raises:
            ModelError: The network said something that is no number.
        """
        try:
            return self._faces_in(batch, raw)
        except ModelError as error:
            raise ModelError(f"{self._source}: {error}" if self._source else str(error)) from None

    def _faces_in(self, batch: Sequence[View], raw: RawOutputs) -> list[Faces]:
        options = self.options
        height, width = batch[0].resized.image.shape[:2]
        return [
            view.faces_in_photo(
                postprocess(
                    raw.boxes[i],
                    raw.scores[i],
                    landmarks=raw.landmarks[i],
                    height=height,
                    width=width,
                    score=options.score,
                    nms_threshold=options.nms,
                    candidates=options.candidates,
                    max_faces=options.max_faces,
                    config=self.backend.facts.anchors,
                )
            )
            for i, view in enumerate(batch)
        ]


@dataclass
class _Photo:
    """A photo of which some views may still wait."""

    height: int
    width: int
    seen: tuple[int, int] = (0, 0)  # rows, columns
    views: int = 0
    waiting: int = 0
    complete: bool = False
    parts: list[tuple[bool, Faces]] = field(default_factory=list)
    """Faces of each view, and whether it was one from afar. Views hold pixels and are not kept."""


class _Queue:
    """Views that wait for others of their size, and photos that wait for their views.

    Args:
        detector: Whose options and network are used.
        network: One thread for the network alone, so that it goes on while the outputs of the batch
            before become faces; None runs it in the caller's thread.
    """

    def __init__(self, detector: FaceDetector, network: Executor | None = None) -> None:
        self._detector = detector
        self._network = network
        self._groups: dict[tuple[int, int], list[tuple[_Photo, View]]] = {}
        self._running: deque[tuple[list[tuple[_Photo, View]], Future[RawOutputs]]] = deque()
        self._photos: deque[_Photo] = deque()

    def put(self, image: NDArray[np.uint8]) -> None:
        """Take in a photo with all its views."""
        photo = _Photo(image.shape[0], image.shape[1])
        self._photos.append(photo)
        detector = self._detector
        for view in views(image, options=detector.options, size=detector.backend.input_size):
            self._add(photo, view)
        photo.complete = True

    def flush(self) -> None:
        """Run everything that waits."""
        for shape in list(self._groups):
            self._run(shape)
        while self._running:
            self._collect()

    def _add(self, photo: _Photo, view: View) -> None:
        """Put a view in its group; run what has become full."""
        resized = view.resized
        photo.views += 1
        photo.waiting += 1
        photo.seen = max(
            photo.seen, (round(photo.height * resized.scale_y), round(photo.width * resized.scale_x))
        )
        rows, columns = resized.image.shape[:2]
        group = self._groups.setdefault((rows, columns), [])
        group.append((photo, view))
        limit = self._detector.options.batch
        if len(group) >= min(limit, max(BATCH_PIXELS // (rows * columns), 1)):
            self._run((rows, columns))
        elif sum(map(len, self._groups.values())) > limit:
            self._run(next(iter(self._groups)))  # the one that waits longest

    def finished(self) -> Iterator[Detection]:
        """Take out the photos that have their answer, up to the first that has not."""
        options = self._detector.options
        while self._photos and self._photos[0].complete and not self._photos[0].waiting:
            photo = self._photos.popleft()
            faces = _merged(photo.parts, options)
            yield Detection(
                faces=faces.clipped(photo.width, photo.height) if options.clip else faces,
                width=photo.width,
                height=photo.height,
                seen_width=photo.seen[1],
                seen_height=photo.seen[0],
                views=photo.views,
            )

    def _run(self, shape: tuple[int, int]) -> None:
        group = self._groups.pop(shape)
        batch = np.stack([view.resized.image for _, view in group])
        run = self._detector.backend.run
        if self._network is None:
            done: Future[RawOutputs] = Future()
            done.set_result(run(batch))
            self._running.append((group, done))
        else:
            self._running.append((group, self._network.submit(run, batch)))
        # one batch in the network and one ready behind it keep it busy; more would only cost memory
        while len(self._running) > (0 if self._network is None else 2):
            self._collect()

    def _collect(self) -> None:
        """Take the outputs of the oldest batch and hand its faces to their photos."""
        group, future = self._running.popleft()
        found = self._detector.faces_in([view for _, view in group], future.result())
        for (photo, view), faces in zip(group, found, strict=True):
            photo.parts.append((view.smallest > 0, faces))
            photo.waiting -= 1


def _merged(parts: Sequence[tuple[bool, Faces]], options: DetectorOptions) -> Faces:
    """The faces of all views of a photo, each once."""
    if len(parts) == 1:
        return parts[0][1]
    large = Faces.concatenate([faces for afar, faces in parts if afar])
    close = Faces.concatenate([faces for afar, faces in parts if not afar])
    faces = Faces.concatenate([_without_pieces(close, large), large])
    if options.merge == "vote":
        return vote(faces, threshold=options.nms, limit=options.max_faces)
    return faces[nms(faces.boxes, faces.scores, threshold=options.nms, limit=options.max_faces)]


def _without_pieces(close: Faces, large: Faces) -> Faces:
    """The faces of the close looks that are no pieces of faces which only a look from afar shows whole.

    Too near, a network takes an eye or the half in a tile for a face. Faces hide what is behind them, so a
    clearly smaller box within a large face of about its score is a piece of it.
    """
    inside = pairwise_coverage(close.boxes, large.boxes) > PIECE_INSIDE
    smaller = areas(close.boxes)[:, None] < PIECE_AREA * areas(large.boxes)[None, :]
    doubtful = large.scores[None, :] < PIECE_SCORE * close.scores[:, None]
    return close[~(inside & smaller & ~doubtful).any(axis=1)]


def recommended_options(facts: DetectorFacts, settings: DetectorSettings) -> DetectorOptions:
    """Options in which thresholds that were not given are those that the network's file recommends.

    Args:
        facts: What the file says.
        settings: What was given.

    Raises:
        ConfigError: A setting is impossible.
    """
    filled: DetectorSettings = {**settings}
    if "score" not in filled and facts.score_threshold is not None:
        filled["score"] = facts.score_threshold
    if "nms" not in filled and facts.nms_threshold is not None:
        filled["nms"] = facts.nms_threshold
    return DetectorOptions(**filled)
