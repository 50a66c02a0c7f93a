"""From what a user names to the single images, videos and cameras it stands for."""

from __future__ import annotations

import glob
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ffcore.errors import InputError
from ffcore.filetype import describe
from ffcore.images.kinds import PHOTO_SUFFIXES, VIDEO_SUFFIXES

Kind = Literal["image", "video", "camera"]

_LONGEST_NAME = 4096  # bytes of a path on Linux; elsewhere fewer
_CONTROL = re.compile(rb"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]")
_CAMERA_DIGITS = 4  # longer numbers are names of files, such as dates, that are not there


@dataclass(frozen=True)
class Source:
    """One thing to detect on.

    Args:
        kind: What it is.
        name: How to show it to the user.
        path: The file; None for a camera.
        camera: The number of the camera; None for a file.
        relative: Where a result belongs below an output folder, with the suffix of the source.
            No two sources of one search share it, whatever the case of their letters.
        named: Whether the user named this very file or camera, rather than a folder or pattern around it.
    """

    kind: Kind
    name: str
    path: Path | None
    camera: int | None
    relative: Path
    named: bool = False


def find_sources(
    names: Sequence[str | Path], *, recursive: bool = True
) -> tuple[list[Source], list[InputError]]:
    """Expand files, folders, patterns and camera numbers.

    - A file is an image unless its suffix is that of a video.
    - A folder stands for the images and videos in it, in order of their names, hidden ones left out.
    - A pattern with ``*``, ``?``, ``[...]`` or ``**`` stands for what it matches, when no file has
      that very name.
    - A bare number is a camera, when no file has that name.

    Args:
        names: What the user named.
        recursive: Whether folders below a folder are searched too.

    Returns:
        The sources in the order of `names`, each once however its folder was reached; but links to one file,
        as DVC and git-annex make them, are as many sources. And for every name that leads nowhere an error
        that says what to do; the caller decides whether to go on without those.
    """
    found: dict[str, Source] = {}
    problems: list[InputError] = []
    for name in names:
        for each in _expand(str(name), recursive):
            if isinstance(each, Source):
                identity = os.path.normcase(real_name(each.path)) if each.path else f"camera {each.camera}"
                found.setdefault(identity, each)
            else:
                problems.append(each)
    return _told_apart(list(found.values())), problems


def listed_names(listing: bytes, *, name: str = "the list") -> list[str]:
    r"""Names from a list of them: one a line, or, where any byte is NUL, each up to the next NUL.

    Args:
        listing: What a program wrote, such as ``find`` with or without ``-print0``. Names are decoded as
            Python does those of files.
        name: How an error names the list.

    Returns:
        The names in their order, without empty ones.

    Raises:
        InputError: These are no names but, for instance, the bytes of a photo.
    """
    if b"\0" not in listing:
        return [os.fsdecode(line) for line in listing.splitlines() if line]
    found = listing.removesuffix(b"\0").split(b"\0")
    # Binary data has runs of NUL and control characters early on; names do not, save a stray line feed.
    if any(not each or len(each) > _LONGEST_NAME or _CONTROL.search(each) for each in found):
        seems = describe(listing[:512]) or "binary data"
        raise InputError(
            f"{name} holds no names of photos but what looks like {seems}; name the file itself instead"
        )
    return [os.fsdecode(each) for each in found]


def kind_of(path: Path) -> Literal["image", "video"] | None:
    """What a file is by its suffix, or None when the suffix says nothing.

    HEIC and raw photos are images too: that they cannot be read is said of each when it is opened.
    """
    suffix = path.suffix.lower()
    if suffix in VIDEO_SUFFIXES:
        return "video"
    return "image" if suffix in PHOTO_SUFFIXES else None


def real_name(path: Path) -> Path:
    """The file's own name in its folder, which is followed through links and without ``..``.

    A name that is itself a link keeps its name: links to one file are different photos to whoever named
    them, while links between folders only are other ways to the same ones, and may lead in circles.
    """
    return path.parent.resolve() / path.name


def _expand(name: str, recursive: bool) -> Iterator[Source | InputError]:
    path = Path(name)
    try:
        is_folder, exists = path.is_dir(), path.exists()
    except PermissionError:
        yield InputError(f"{name}: may not be read; check the permissions of its folder")
        return
    except (OSError, ValueError):  # too long, or with a NUL in it
        is_folder = exists = False
    if not name:
        yield InputError("an empty name stands for nothing; name a file, a folder or a camera number")
    elif is_folder:
        yield from _folder(path, name, recursive)
    elif exists:
        yield Source(kind_of(path) or "image", name, path, None, Path(path.name), named=True)
    elif name.isascii() and name.isdigit() and len(name) <= _CAMERA_DIGITS:
        number = int(name)
        yield Source("camera", f"camera {number}", None, number, Path(f"camera-{number}"), named=True)
    elif glob.has_magic(name) and "\0" not in name:  # glob passes one on to the system, which raises
        yield from _pattern(name, recursive)
    elif name.startswith(("http://", "https://", "rtsp://")):
        yield InputError(f"{name}: addresses are not opened; download the file first")
    else:
        yield InputError(f"{name}: does not exist; {_nearest_folder(path)}")


def _folder(folder: Path, name: str, recursive: bool) -> Iterator[Source | InputError]:
    unreadable: list[OSError] = []
    empty = True
    for parent, below, files in os.walk(folder, onerror=unreadable.append):
        below[:] = sorted(each for each in below if not each.startswith(".")) if recursive else []
        for file in sorted(files):
            path = Path(parent, file)
            kind = kind_of(path)
            if kind is not None and not file.startswith("."):
                empty = False
                yield Source(kind, str(path), path, None, path.relative_to(folder))
    for error in unreadable:
        empty = False  # the reason is said already
        yield InputError(f"{error.filename}: this folder may not be read; check its permissions")
    if empty:
        where = "in it or below it" if recursive else "directly in it (folders below were left out)"
        yield InputError(f"{name}: is a folder without images or videos {where}")


def _pattern(pattern: str, recursive: bool) -> Iterator[Source | InputError]:
    matches = [Path(each) for each in sorted(glob.glob(pattern, recursive=True))]  # noqa: PTH207 - Path.glob refuses absolute patterns
    fixed: list[str] = []
    for part in Path(pattern).parts[:-1]:
        if glob.has_magic(part):
            break
        fixed.append(part)
    base = Path(*fixed)
    known = [path for path in matches if path.is_file() and kind_of(path)]
    folders = [path for path in matches if path.is_dir()] if "**" not in pattern else []
    for path in known:
        yield Source(kind_of(path) or "image", str(path), path, None, path.relative_to(base))
    inside = [
        replace(each, relative=folder.relative_to(base) / each.relative)
        for folder in folders
        for each in _folder(folder, str(folder), recursive)
        if isinstance(each, Source)
    ]
    yield from inside
    if not known and not inside:
        count = len(matches)
        what = f"matches {count} files or folders, but no image or video" if count else "matches nothing"
        yield InputError(f"{pattern}: {what}; check the pattern")


def _nearest_folder(path: Path) -> str:
    for parent in path.parents:
        try:
            if parent.is_dir():
                where = "the current folder" if str(parent) == "." else str(parent)
                return f"look into {where}, which does"
        except OSError:
            continue
    return "check the name"


def _told_apart(sources: list[Source]) -> list[Source]:
    """The same sources; where two would share a place for results, folders of their paths are put before."""
    groups: dict[str, list[int]] = defaultdict(list)
    for index, source in enumerate(sources):
        groups[_key(source.relative)].append(index)
    taken = {key for key, group in groups.items() if len(group) == 1}
    result = list(sources)
    for group in groups.values():
        if len(group) == 1:
            continue
        places = [sources[i].relative for i in group]
        whole = [_without_root(real_name(sources[i].path or sources[i].relative)) for i in group]
        for depth in range(2, max(len(path.parts) for path in whole) + 1):
            places = [Path(*path.parts[-depth:]) for path in whole]
            keys = {_key(place) for place in places}
            if len(keys) == len(group) and not keys & taken:
                break
        for i, place in zip(group, places, strict=True):
            result[i] = replace(sources[i], relative=_free(place, taken))
            taken.add(_key(result[i].relative))
    return result


def _free(place: Path, taken: set[str]) -> Path:
    """The place itself, or with a number, should names differ in nothing but the case of letters."""
    candidate, number = place, 2
    while _key(candidate) in taken:
        candidate = place.with_name(f"{place.stem}-{number}{place.suffix}")
        number += 1
    return candidate


def _without_root(path: Path) -> Path:
    return path.relative_to(path.anchor)


def _key(path: Path) -> str:
    return str(path).casefold()
