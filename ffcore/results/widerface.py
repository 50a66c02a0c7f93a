"""The text layout that the WIDER FACE evaluation reads: one file per image, one folder per event."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePath

from ffcore.errors import InputError
from ffcore.files import write_text
from ffcore.results.image_faces import ImageFaces


def widerface_path(image: str) -> PurePath:
    """Where the faces of an image belong: ``event/name.txt``, the event being the folder of the image.

    Raises:
        InputError: The image is in no folder, or its name cannot stand on a line of its own.
    """
    path = PurePath(image)
    event = path.parent.name
    if not event or event == "..":
        raise InputError(
            f"{image}: its folder should name the WIDER FACE event, but there is none; give event/name.jpg"
        )
    if any(ord(letter) < 32 for letter in event + path.name):
        raise InputError(f"{image!r}: a name with line ends cannot be written in the WIDER FACE layout")
    return PurePath(event, f"{path.stem}.txt")


def widerface_text(result: ImageFaces) -> str:
    """The file of one image: its name, the number of faces, then ``x y w h score`` by descending score.

    Boxes are neither rounded nor clipped, and every number reads back to the same double.
    """
    faces = result.faces.by_score()
    lines = [widerface_path(result.image).stem, str(len(faces))]
    for box, score in zip(faces.boxes, faces.scores, strict=True):
        x1, y1, x2, y2 = (float(value) for value in box)
        lines.append(" ".join(map(repr, (x1, y1, x2 - x1, y2 - y1, float(score)))))
    return "\n".join(lines) + "\n"


def write_widerface(folder: str | Path, results: Iterable[ImageFaces]) -> None:
    """Write one file per image below `folder`; each is whole or not there.

    Raises:
        InputError: A name has no event, two images would share a file, or a file cannot be written.
    """
    written: dict[PurePath, str] = {}
    for result in results:
        place = widerface_path(result.image)
        if place in written:
            raise InputError(f"{result.image} and {written[place]} would both be written to {place}")
        written[place] = result.image
        write_text(Path(folder) / place, widerface_text(result))
