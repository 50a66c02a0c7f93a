"""What happens to a batch of photos, as callables that fit ``ray.data.Dataset.map_batches``.

They know nothing of Ray: a batch goes in and comes out as a dictionary of NumPy arrays, the format that
``map_batches`` uses by itself::

    import ray
    from ffcore import DetectFaces

    photos = ray.data.read_binary_files("s3://bucket/photos", include_paths=True)
    faces = photos.map_batches(
        DetectFaces, fn_constructor_kwargs={"image": "bytes"}, batch_size=16, concurrency=8
    )
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ffcore.detection import Detection
from ffcore.errors import ConfigError, ImageError, InputError
from ffcore.faces import Faces
from ffcore.images import read_image
from ffcore.images.anonymize import Method, anonymize
from ffcore.images.encode import WRITABLE_SUFFIXES, encode_image
from ffcore.jobs.columns import NO_PIXELS, Batch, column, rows
from ffcore.jobs.model_file import ModelFile
from ffcore.jobs.reading import Photo, read_shard
from ffcore.jobs.shards import Shard

if TYPE_CHECKING:
    from typing import Unpack

    from ffcore.detection.detector import DetectorSettings

_BATCH_BYTES = 4 * 2**20
"""Decoded photos are handed on as soon as there are so many bytes of them."""


def decode_shards(batch: Mapping[str, NDArray[Any]]) -> Iterator[Batch]:
    """Reads and decodes the photos of shards, a few megabytes at a time.

    Args:
        batch: ``shard``, the numbers of shards, and ``spec``, what `Shard.to_json` gave.

    Yields:
        ``shard``, ``index`` (place within the shard, from 0), ``uri``, ``name``, ``image`` ((H, W, 3)
        uint8 BGR; without pixels where the photo cannot be read), ``error`` (why, or empty) and ``end``.
        After its photos each shard has one row more, with ``end`` set and their number as ``index``.
    """
    for number, spec in zip(batch["shard"], batch["spec"], strict=True):
        waiting: list[tuple[int, Photo, NDArray[np.uint8]]] = []
        size = index = 0
        for index, photo in enumerate(read_shard(Shard.from_json(str(spec))), 1):
            image, photo = _decoded(photo)
            waiting.append((index - 1, photo, image))
            size += image.nbytes
            if size >= _BATCH_BYTES:
                yield _photos(int(number), waiting, end=False)
                waiting, size = [], 0
        if waiting:
            yield _photos(int(number), waiting, end=False)
        yield _photos(int(number), [(index, Photo("", "", b"", ""), NO_PIXELS)], end=True)


def _decoded(photo: Photo) -> tuple[NDArray[np.uint8], Photo]:
    if photo.error:
        return NO_PIXELS, photo
    try:
        return read_image(photo.content, name=photo.uri), photo
    except ImageError as error:
        return NO_PIXELS, photo._replace(error=error.reason)


def _photos(number: int, photos: list[tuple[int, Photo, NDArray[np.uint8]]], *, end: bool) -> Batch:
    return {
        "shard": np.full(len(photos), number, np.int32),
        "index": np.array([index for index, _, _ in photos], np.int32),
        "uri": column(photo.uri for _, photo, _ in photos),
        "name": column(photo.name for _, photo, _ in photos),
        "image": column(image for _, _, image in photos),
        "error": column(photo.error for _, photo, _ in photos),
        "end": np.full(len(photos), end),
    }


class DetectFaces:
    """Finds the faces of the photos in a batch; photos whose inputs have equal size run together.

    Results depend on the photos of a batch and on nothing before it. A photo that cannot be read gets no
    faces and an error.

    Args:
        model: A file of weights on this machine, the name of weights that come with the package, or
            weights that were read before.
        image: The column of photos: encoded bytes, or (H, W, 3) uint8 arrays.
        channel_order: Of these arrays; what ``ray.data.read_images`` gives is "RGB".
        keep_image: Whether the photos go on with their faces.
        device: See `FaceDetector.load`.
        threads: CPU threads of the network. One, since clusters count cores.
        **settings: Fields of `ffcore.DetectorOptions`.

    Raises:
        CheckpointError: The file is no detector.
        UnknownModelError: No such name, or no weights of it.
        MissingDependencyError: The library or the device is not there.
        ConfigError: A setting is impossible.
    """

    def __init__(
        self,
        model: str | Path | ModelFile = "v2",
        *,
        image: str = "image",
        channel_order: Literal["BGR", "RGB"] = "BGR",
        keep_image: bool = False,
        device: str = "auto",
        threads: int | None = 1,
        **settings: Unpack[DetectorSettings],
    ) -> None:
        if channel_order not in ("BGR", "RGB"):
            raise ConfigError(f"channel_order = {channel_order!r}: choose BGR or RGB")
        loaded = model if isinstance(model, ModelFile) else ModelFile.read(model)
        self._detector = loaded.detector(device=device, threads=threads, **settings)
        self._image = image
        self._order = channel_order
        self._keep_image = keep_image

    def __call__(self, batch: Mapping[str, NDArray[Any]]) -> Batch:
        """Adds the faces.

        Args:
            batch: With the column of photos. Where its array of a photo has no pixels, nothing is looked
                for, and a reason in a column ``error`` stays.

        Returns:
            The other columns, and ``width``, ``height`` (pixels; 0 where there is an error), ``seen_width``,
            ``seen_height`` (what the network saw), ``boxes`` ((N, 4) float32 each), ``scores`` ((N,)),
            ``landmarks`` ((N, 10): x y of the five in turn) and ``error`` (empty where there is none).

        Raises:
            ConfigError: There is no such column.
            ModelError: The network failed.
        """
        if self._image not in batch:
            raise ConfigError(f"the batch has no column {self._image!r}, only {', '.join(batch)}")
        errors = [str(reason or "") for reason in batch.get("error", [""] * rows(batch))]
        found: dict[int, Detection] = {}
        order: list[int] = []

        def readable() -> Iterator[NDArray[np.uint8]]:
            for i, photo in enumerate(batch[self._image]):
                if isinstance(photo, np.ndarray) and photo.size == 0:
                    errors[i] = errors[i] or "has no pixels"
                    continue
                try:
                    image = self._read(photo)
                except ImageError as error:
                    errors[i] = error.reason
                    continue
                order.append(i)
                yield image

        for position, detection in enumerate(self._detector.stream(readable())):
            found[order[position]] = detection
        detections = [found.get(i) for i in range(len(errors))]
        faces = [Faces.empty() if each is None else each.faces for each in detections]
        sizes = np.array(
            [
                (0, 0, 0, 0) if each is None else (each.width, each.height, each.seen_width, each.seen_height)
                for each in detections
            ],
            np.int32,
        ).reshape(-1, 4)
        return {
            **{name: values for name, values in batch.items() if self._keep_image or name != self._image},
            **dict(zip(("width", "height", "seen_width", "seen_height"), sizes.T.copy(), strict=True)),
            "boxes": column(each.boxes for each in faces),
            "scores": column(each.scores for each in faces),
            "landmarks": column(each.landmarks.reshape(-1, 10) for each in faces),
            "error": column(errors),
        }

    def _read(self, photo: Any) -> NDArray[np.uint8]:
        image = read_image(photo, name="the photo")
        if isinstance(photo, np.ndarray) and self._order == "RGB":
            return np.ascontiguousarray(image[..., ::-1])
        return image


class HideFaces:
    """Hides the faces that were found and encodes the changed photos.

    Args:
        method: How; see `ffcore.anonymize`.

    Raises:
        ConfigError: An unknown method.
    """

    def __init__(self, method: Method = "blur") -> None:
        anonymize(
            np.zeros((1, 1, 3), np.uint8), Faces.empty(), method=method
        )  # refuses what it does not know
        self._method = method

    def __call__(self, batch: Mapping[str, NDArray[Any]]) -> Batch:
        """Puts the changed photo, encoded, in the place of the photo.

        Args:
            batch: What `decode_shards` and `DetectFaces` (with `keep_image`) give.

        Returns:
            The columns without ``image``; ``photo``, the encoded copy without any metadata, empty where
            there was no photo; ``name`` with the suffix of its format; ``error`` where encoding failed.
        """
        names, photos, errors = [], [], []
        for i, image in enumerate(batch["image"]):
            name, photo, error = writable_name(str(batch["name"][i])), b"", str(batch["error"][i])
            if image.size and not error:
                landmarks = np.asarray(batch["landmarks"][i]).reshape(-1, 5, 2)
                faces = Faces(boxes=batch["boxes"][i], scores=batch["scores"][i], landmarks=landmarks)
                changed = anonymize(image, faces, method=self._method)
                try:
                    photo = encode_image(changed, suffix=Path(name).suffix)
                except InputError as refused:
                    error = str(refused)
            names.append(name)
            photos.append(photo)
            errors.append(error)
        kept = {key: values for key, values in batch.items() if key != "image"}
        return {**kept, "name": column(names), "photo": column(photos), "error": column(errors)}


def writable_name(name: str) -> str:
    """The name of a changed copy: the same where its format can be written, else with ``.jpg`` after it."""
    return name if Path(name).suffix.lower() in WRITABLE_SUFFIXES else f"{name}.jpg"
