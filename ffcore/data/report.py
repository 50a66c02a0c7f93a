"""What was found wrong, and what was merely found, while labels were read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ffcore.errors import InputError

DefectKind = Literal[
    "malformed_line",
    "zero_size_box",
    "box_outside",
    "landmarks_incomplete",
    "duplicate_face",
    "duplicate_image",
    "missing_image",
    "corrupt_image",
    "unknown_name",
]
"""What is wrong with labels or images. The face or the image is left out; a face whose landmarks are
incomplete stays, as one without landmarks."""

NoteKind = Literal[
    "landmarks_missing", "box_cut", "ignored_face", "other_class", "image_without_faces", "grayscale_image"
]
"""What is in order, but worth knowing: faces that nobody gave landmarks, boxes that reach beyond the image,
faces to be ignored, labels of other classes, images without faces (kept), images without colour (kept)."""


@dataclass(frozen=True)
class Defect:
    """One thing that is wrong.

    Args:
        kind: Of what sort.
        where: The file and the line, or the image.
        detail: One short phrase.
    """

    kind: DefectKind
    where: str
    detail: str

    def __str__(self) -> str:
        return f"{self.where}: {self.detail}"


@dataclass(frozen=True)
class DataReport:
    """What reading found.

    Args:
        images: Images that can be used.
        faces: Faces in them, ignored ones included.
        faces_with_landmarks: How many of those have all five.
        defects: Everything that is wrong, in the order of reading.
        notes: How often each thing worth knowing was met.
    """

    images: int
    faces: int
    faces_with_landmarks: int
    defects: tuple[Defect, ...]
    notes: Mapping[NoteKind, int]

    @property
    def counts(self) -> dict[DefectKind, int]:
        """How many defects there are of each kind that was met."""
        return dict(Counter(defect.kind for defect in self.defects))

    def check(self) -> None:
        """Refuse data with defects.

        Raises:
            InputError: There is at least one; the message counts the kinds and names the first.
        """
        if self.defects:
            kinds = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in self.counts.items())
            raise InputError(f"{self.defects[0]}; in all {kinds}. Mend the data, or read it without strict")
