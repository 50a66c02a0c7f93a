"""Photos without labels, for a teacher to speak about."""

from __future__ import annotations

from pathlib import Path

from ffcore.data.annotations import AnnotatedImage, LabelledFaces
from ffcore.data.collector import Annotations, Check, image_header
from ffcore.data.report import DataReport, Defect
from ffcore.errors import ImageError, InputError
from ffcore.images import find_sources, read_image
from ffcore.images.kinds import FOREIGN_PHOTO_SUFFIXES


def read_unlabelled(folder: str | Path, *, check: Check = "header") -> Annotations:
    """All photos in a folder and below it, as images whose faces nobody has marked.

    Args:
        folder: Where they are; hidden files and videos are left out.
        check: How far each is looked at; one that cannot be read is left out and reported.

    Returns:
        Images without faces, none of them `labelled`, in the order of their names.

    Raises:
        InputError: It is no folder, or holds no photo that can be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: is no folder; name one with photos")
    sources, problems = find_sources([folder])
    if problems:
        raise problems[0]
    images, defects = [], []
    for source in sources:
        if source.kind != "image" or source.path is None:
            continue
        name = source.path.relative_to(folder).as_posix()
        try:
            # HEIC and raw photos are looked at in any case: the header of a raw one is that of its preview
            if check == "pixels" or source.path.suffix.lower() in FOREIGN_PHOTO_SUFFIXES:
                read_image(source.path)
            elif check == "header":
                image_header(source.path)
        except ImageError as error:
            defects.append(Defect("corrupt_image", name, f"the image {error.reason}"))
            continue
        images.append(AnnotatedImage(name=name, path=source.path, faces=LabelledFaces.of([]), labelled=False))
    if not images:
        raise InputError(
            f"{folder}: holds no photo that can be read" + (f"; {defects[0]}" if defects else "")
        )
    report = DataReport(
        images=len(images),
        faces=0,
        faces_with_landmarks=0,
        defects=tuple(defects),
        notes={"image_without_faces": len(images)},
    )
    return Annotations(images=tuple(images), report=report)
