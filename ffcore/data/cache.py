"""Photos kept decoded on disk, in one file that all workers share through the page cache."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ffcore.errors import ConfigError, ImageError, InputError
from ffcore.events import Advanced, Failed, OnEvent, Started, ignore
from ffcore.files import replacing, write_text
from ffcore.images import read_image

_VERSION = 1
_INDEX = "photos.json"
_PIXELS = re.compile(r"photos-[0-9a-f]{16}\.bin")


class CachedPhoto(NamedTuple):
    """A decoded photo and how much smaller it is than the original."""

    image: NDArray[np.uint8]
    """(H, W, 3) BGR; a read-only view of the file."""
    scale_x: float
    """Pixels of `image` for each pixel of the original, at most 1."""
    scale_y: float
    """The same for rows."""


@dataclass(frozen=True)
class _Entry:
    offset: int
    height: int
    width: int
    scale_x: float
    scale_y: float


class PhotoCache:
    """Decoded photos by number; made by `build_cache` or `open_cache`.

    The pixels are mapped into memory when the first photo is read, by each process for itself: the object
    can be pickled, costs a worker next to nothing to get, and all workers read the same pages.

    Args:
        pixels: The file of pixels.
        entries: Where each photo is; None for one that could not be read.
        sources: The files that the photos came from, for messages.
    """

    def __init__(self, pixels: Path, entries: Sequence[_Entry | None], *, sources: Sequence[Path]) -> None:
        self._pixels = pixels
        self._entries = tuple(entries)
        self._sources = tuple(sources)
        self._map: NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return len(self._entries)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_map": None}  # a mapped file would be pickled as all of its bytes

    def read(self, index: int) -> CachedPhoto:
        """One photo.

        Args:
            index: Its number among the sources.

        Raises:
            ImageError: The source could not be read when the cache was made.
            InputError: The file of pixels is gone.
        """
        entry = self._entries[index]
        if entry is None:
            raise ImageError(self._sources[index], "could not be read when the cache was made")
        if self._map is None:
            try:
                self._map = np.memmap(self._pixels, np.uint8, mode="r")
            except (OSError, ValueError) as error:
                raise InputError(
                    f"{self._pixels}: the cache cannot be read: {error}; make it again"
                ) from None
        end = entry.offset + entry.height * entry.width * 3
        image = self._map[entry.offset : end].reshape(entry.height, entry.width, 3)
        return CachedPhoto(image=image.view(np.ndarray), scale_x=entry.scale_x, scale_y=entry.scale_y)


def build_cache(
    sources: Sequence[Path],
    folder: str | Path,
    *,
    max_side: int | None = None,
    on_event: OnEvent = ignore,
) -> PhotoCache:
    """The cache of these photos: the one in the folder if it still fits them, else a new one.

    It fits as long as the list of files, their sizes and times of change, and `max_side` are the same. The
    index is written last and names its file of pixels, so a reader sees the old cache or the new one, and
    one that was interrupted is never seen.

    Args:
        sources: Image files.
        folder: Where the cache is kept; made if missing.
        max_side: Larger photos are shrunk to so many pixels on their longer side; None keeps all as they are
            (a photo of 1024 × 768 pixels takes 2.4 MB).
        on_event: Gets `Started`, and `Advanced` or `Failed` for each photo that is decoded.

    Raises:
        InputError: The folder cannot be written to, or the disk is full.
        ConfigError: `max_side` is below 32.
    """
    if max_side is not None and max_side < 32:
        raise ConfigError(f"max_side = {max_side}: 32 pixels or more are needed")
    folder = Path(folder)
    key = _fingerprint(sources, max_side)
    if (present := open_cache(sources, folder, max_side=max_side)) is not None:
        return present
    pixels = folder / f"photos-{key}.bin"
    entries: list[_Entry | None] = []
    on_event(Started("photos", len(sources)))
    with replacing(pixels) as part, part.open("wb") as file:
        for source in sources:
            try:
                image = read_image(source)
            except ImageError as error:
                entries.append(None)
                on_event(Failed(str(source), error.reason))
                continue
            small = _shrunk(image, max_side)
            height, width = small.shape[:2]
            entries.append(
                _Entry(file.tell(), height, width, width / image.shape[1], height / image.shape[0])
            )
            file.write(small.data)
            on_event(Advanced(str(source)))
    rows = [
        None if entry is None else [entry.offset, entry.height, entry.width, entry.scale_x, entry.scale_y]
        for entry in entries
    ]
    write_text(folder / _INDEX, json.dumps({"version": _VERSION, "key": key, "photos": rows}))
    for old in folder.iterdir():
        if _PIXELS.fullmatch(old.name) and old != pixels:
            with contextlib.suppress(OSError):  # Windows keeps what somebody still has mapped
                old.unlink()
    return PhotoCache(pixels, entries, sources=sources)


def open_cache(
    sources: Sequence[Path], folder: str | Path, *, max_side: int | None = None
) -> PhotoCache | None:
    """The cache in a folder, if there is one and it fits.

    Args:
        sources: As for `build_cache`.
        folder: Where the cache is kept.
        max_side: As for `build_cache`.

    Returns:
        The cache, or None when it is missing, damaged or of other photos.
    """
    folder = Path(folder)
    key = _fingerprint(sources, max_side)
    pixels = folder / f"photos-{key}.bin"
    try:
        index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
        if index["version"] != _VERSION or index["key"] != key:
            return None
        entries = [None if row is None else _Entry(*row) for row in index["photos"]]
        needed = max((entry.offset + entry.height * entry.width * 3 for entry in entries if entry), default=0)
        whole = len(entries) == len(sources) and pixels.stat().st_size == needed
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return PhotoCache(pixels, entries, sources=sources) if whole else None


def _fingerprint(sources: Sequence[Path], max_side: int | None) -> str:
    """16 hexadecimal digits that change with the sources and with what is made of them."""
    digest = hashlib.sha256(f"{_VERSION} {max_side}".encode())
    for source in sources:
        try:
            facts = source.stat()
            state = f"{facts.st_size} {facts.st_mtime_ns}"
        except OSError:
            state = "missing"
        digest.update(f"\n{source.absolute()} {state}".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:16]


def _shrunk(image: NDArray[np.uint8], max_side: int | None) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    if max_side is None or max(height, width) <= max_side:
        return image
    factor = max_side / max(height, width)
    size = max(round(width * factor), 1), max(round(height * factor), 1)
    return np.ascontiguousarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
