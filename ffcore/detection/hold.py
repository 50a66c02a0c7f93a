"""Faces of a video held over the frames in which the detector missed them.

One missed frame is enough to recognise somebody in an anonymised video. So a face is filled in
where it was lost for a moment, and its first and last box reach a little before and behind it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ffcore.errors import ConfigError
from ffcore.faces import Faces

T = TypeVar("T")

_REACH = 0.6  # how far a face moves from one frame to the next, in parts of its size
_REACH_PER_MISSED = 0.2  # and how much farther for every frame in which it was missed
_MOST_GROWTH = 2.5  # how many times larger or smaller it may come back


def hold_faces(frames: Iterable[tuple[T, Faces]], *, gap: int = 8) -> Iterator[tuple[T, Faces]]:
    """Fill in the faces that were missed for up to `gap` frames.

    A face that disappears and comes back within `gap` frames is put on the straight line in between;
    the first box of a face is also put on the `gap` frames before it, the last box on the `gap`
    frames after it. Detections themselves are handed on as they are, and come first.

    Args:
        frames: Anything (a frame, its number, …) together with the faces detected in it, in order.
        gap: Frames that are bridged; 0 hands everything on unchanged.

    Yields:
        The same things in the same order with at least the faces they came with, `gap` frames late:
        no more than ``gap + 1`` frames are kept at a time.

    Raises:
        ConfigError: `gap` is negative.
    """
    if gap < 0:
        raise ConfigError(f"gap is {gap} frames, but 0 or more is needed")
    return _held(frames, gap)


@dataclass
class _Frame(Generic[T]):
    item: T
    faces: Faces
    filled: dict[tuple[int, str], Faces] = field(default_factory=dict)  # by track and reason

    def result(self) -> tuple[T, Faces]:
        return self.item, Faces.concatenate([self.faces, *self.filled.values()])


@dataclass
class _Track:
    number: int
    face: Faces  # one face: where it was seen last
    seen: int  # the frame in which that was
    speed: NDArray[np.float32]  # (2,) pixels per frame, of the centre

    def expected(self, now: int) -> NDArray[np.float32]:
        """(2,) where the centre would be by now, had it kept its speed."""
        centre: NDArray[np.float32] = _centres(self.face)[0]
        return centre + self.speed * np.float32(now - self.seen)


def _held(frames: Iterable[tuple[T, Faces]], gap: int) -> Iterator[tuple[T, Faces]]:
    waiting: deque[_Frame[T]] = deque()
    tracks: list[_Track] = []
    counter = 0
    for now, (item, faces) in enumerate(frames):
        waiting.append(_Frame(item, faces))
        tracks = [track for track in tracks if now - track.seen <= gap + 1]
        pairs = _match(tracks, faces, now)
        for which, track in pairs.items():
            _bridge(waiting, track, faces[which], now)
        for track in tracks:
            if track.seen < now and now - track.seen <= gap:
                waiting[-1].filled[track.number, "after"] = track.face
        for which in range(len(faces)):
            if which not in pairs:
                for frame in list(waiting)[-1 - gap : -1]:
                    frame.filled[counter, "before"] = faces[which]
                tracks.append(_Track(counter, faces[which], now, np.zeros(2, np.float32)))
                counter += 1
        if len(waiting) > gap:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _bridge(waiting: deque[_Frame[T]], track: _Track, found: Faces, now: int) -> None:
    """Put a face that came back on the line between, and let its track go on from there."""
    steps = now - track.seen
    apart = not _overlapping(track.face, found)
    for step in range(1, steps):
        frame = waiting[-1 - (steps - step)]
        # Far apart it may be someone else: then both ends are held as well, rather than one uncovered.
        if apart:
            frame.filled[track.number, "before"] = found
        else:
            frame.filled.pop((track.number, "after"), None)
        frame.filled[track.number, "between"] = _between(track.face, found, step / steps)
    track.speed = (_centres(found)[0] - _centres(track.face)[0]) / np.float32(steps)
    track.face, track.seen = found, now


def _match(tracks: list[_Track], faces: Faces, now: int) -> dict[int, _Track]:
    """Which face goes on with which track: nearest pairs first, each face and track once."""
    if not tracks or not len(faces):
        return {}
    expected = np.stack([track.expected(now) for track in tracks])
    last = np.concatenate([_centres(track.face) for track in tracks])
    old = np.concatenate([_lengths(track.face) for track in tracks])
    missed = np.array([now - track.seen - 1 for track in tracks])
    centres, new = _centres(faces), _lengths(faces)
    size = np.maximum(old[:, None], new[None, :])
    # A face may go on as it moved or have stopped: the nearer of both places counts.
    distance = np.minimum(
        np.linalg.norm(expected[:, None] - centres[None], axis=2),
        np.linalg.norm(last[:, None] - centres[None], axis=2),
    )
    distance = distance / size
    reach = _REACH + _REACH_PER_MISSED * missed
    growth = size / np.minimum(old[:, None], new[None, :])
    possible = (distance <= reach[:, None]) & (growth <= _MOST_GROWTH)
    pairs: dict[int, _Track] = {}
    used: set[int] = set()
    for flat in np.argsort(distance, axis=None, kind="stable").tolist():
        row, column = divmod(flat, len(faces))
        if possible[row, column] and row not in used and column not in pairs:
            used.add(row)
            pairs[column] = tracks[row]
    return pairs


def _between(first: Faces, last: Faces, part: float) -> Faces:
    """One face on the straight line from `first` (part 0) to `last` (part 1)."""
    weight = np.float32(part)
    return Faces(
        boxes=first.boxes + (last.boxes - first.boxes) * weight,
        scores=np.minimum(first.scores, last.scores),
        landmarks=first.landmarks + (last.landmarks - first.landmarks) * weight,
    )


def _overlapping(a: Faces, b: Faces) -> bool:
    low = np.maximum(a.boxes[0, :2], b.boxes[0, :2])
    high = np.minimum(a.boxes[0, 2:], b.boxes[0, 2:])
    return bool((low < high).all())


def _centres(faces: Faces) -> NDArray[np.float32]:
    """(N, 2) centres of the boxes."""
    return (faces.boxes[:, :2] + faces.boxes[:, 2:]) * np.float32(0.5)


def _lengths(faces: Faces) -> NDArray[np.float32]:
    """(N,) sides of squares of the same area, at least one pixel."""
    sizes = np.maximum(faces.sizes, np.float32(1))
    lengths: NDArray[np.float32] = np.sqrt(sizes[:, 0] * sizes[:, 1])
    return lengths
