"""Small sets of images for tests, as the twin has them, as arrays, and as files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from ffcore.evaluation.ground_truth import GroundTruth, offsets_of
from ffcore.evaluation.predictions import Predictions
from tests.evaluation.twin import TwinImage

SUBSETS = ["easy", "medium", "hard"]


def arrays(images: list[TwinImage]) -> tuple[GroundTruth, Predictions]:
    names = tuple(image.name for image in images)
    faces = [face for image in images for face in image.faces]
    boxes = np.array([box for image in images for box in image.boxes], dtype=float).reshape(-1, 5)
    kept = {
        name: np.array([row in image.keep[name] for image in images for row in range(len(image.faces))], bool)
        for name in SUBSETS
    }
    truth = GroundTruth(
        images=names,
        boxes=np.array(faces, dtype=float).reshape(-1, 4),
        offsets=offsets_of(np.array([len(image.faces) for image in images])),
        kept=kept,
    )
    offsets = offsets_of(np.array([len(image.boxes) for image in images]))
    return truth, Predictions(names, boxes[:, :4].copy(), boxes[:, 4].copy(), offsets)


def write_files(folder: Path, images: list[TwinImage]) -> None:
    for image in images:
        rows = [" ".join(map(repr, box)) for box in image.boxes]
        path = folder / f"{image.name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([path.stem, str(len(rows)), *rows]) + "\n")


places = st.one_of(st.integers(-3, 12).map(float), st.sampled_from([0.25, 2.5, 3.1, 7.3, 1e6 + 0.1]))
lengths = st.one_of(st.integers(-3, 9).map(float), st.sampled_from([0.5, 3.3, 6.7, 19.0, 38.0]))
face_boxes = st.tuples(places, places, lengths, lengths)
nudges = st.sampled_from([0.0, 0.0, 1.0, -1.0, 0.5, 2.0, -3.0])
# few values, so that ties and values just at a threshold are common
inside = st.sampled_from([0.0, 0.001, 0.25, 0.3, 0.3005, 0.7, 0.7, 0.999, 1.0])
anywhere = st.one_of(inside, st.sampled_from([-4.5, -1.0, 0.7, 2.0, 3.25]), st.floats(0, 1))


@st.composite
def image_sets(draw: st.DrawFn) -> list[TwinImage]:
    scores = draw(st.sampled_from([inside, anywhere, st.just(0.5), st.just(1.0), st.just(2.0)]))
    images = []
    for number in range(draw(st.integers(1, 4))):
        faces = draw(st.lists(face_boxes, max_size=5))
        if faces and draw(st.booleans()):
            faces.append(draw(st.sampled_from(faces)))  # two faces in one place
        rows = st.sets(st.sampled_from(range(len(faces)))) if faces else st.just(set())
        boxes = []
        for _ in range(draw(st.integers(0, 7))):
            near = draw(st.sampled_from([*faces, None]))
            if near is None:
                place = draw(face_boxes)
            else:
                x, y, w, h = (value + draw(nudges) for value in near)
                place = (x, y, w, h)
            boxes.append((*place, draw(scores)))
        if boxes and draw(st.booleans()):
            boxes.append(draw(st.sampled_from(boxes)))  # the very same box again
        keep = {name: draw(rows) for name in SUBSETS}
        images.append(TwinImage(f"{number % 2}--Event/image_{number}", faces, keep, boxes))
    return images
