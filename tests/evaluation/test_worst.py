from __future__ import annotations

import pytest
from hypothesis import given, settings

from ffcore.errors import ConfigError
from ffcore.evaluation.scoring import match_predictions
from ffcore.evaluation.worst import worst_images
from tests.evaluation.small_sets import SUBSETS, arrays, image_sets
from tests.evaluation.twin import TwinImage, best_face

FACE = (10.0, 10.0, 39.0, 39.0)
OTHER = (100.0, 10.0, 39.0, 39.0)
NOWHERE = (300.0, 300.0, 9.0, 9.0)
BOTH = {name: {0, 1} for name in SUBSETS}


def errors_slowly(image: TwinImage, subset: str, at_score: float) -> int:
    """Missed faces and false boxes of an image, box by box."""
    taken: set[int] = set()
    false = 0
    if not image.faces:
        return 0
    for box in sorted(image.boxes, key=lambda box: -box[4]):
        row, iou = best_face(box[:4], image.faces)
        if box[4] < at_score:
            continue
        if iou < 0.5:
            false += 1
        elif row in image.keep[subset]:
            false += row in taken
            taken.add(row)
    return false + len(image.keep[subset] - taken)


@settings(max_examples=60, deadline=None)
@given(image_sets())
def test_errors_are_those_that_one_finds_box_by_box(images: list[TwinImage]) -> None:
    matched = match_predictions(*arrays(images))
    for subset, at_score in (("easy", 0.3), ("hard", 0.7)):
        worst = worst_images(matched, subset, at_score=at_score)
        found = {each.image: len(each.missed) + len(each.false) for each in worst}
        expected = {image.name: errors_slowly(image, subset, at_score) for image in images}
        assert found == {name: errors for name, errors in expected.items() if errors}
        assert list(found.values()) == sorted(found.values(), reverse=True)


def test_the_errors_of_an_image_are_its_own_boxes() -> None:
    images = [
        TwinImage("0--A/good", [FACE], {name: {0} for name in SUBSETS}, [(*FACE, 0.9)]),
        TwinImage(
            "0--A/bad", [FACE, OTHER], BOTH, [(*FACE, 0.9), (*FACE, 0.8), (*NOWHERE, 0.7), (*OTHER, 0.2)]
        ),
        TwinImage("0--A/fair", [FACE, OTHER], BOTH, [(*FACE, 0.9)]),
    ]
    matched = match_predictions(*arrays(images))
    bad, fair = worst_images(matched, "hard", at_score=0.5)
    assert (bad.image, fair.image) == ("0--A/bad", "0--A/fair")
    assert bad.missed.tolist() == [list(OTHER)]
    assert bad.false.tolist() == [list(FACE), list(NOWHERE)]
    assert bad.false_scores.tolist() == [0.8, 0.7]
    assert [each.image for each in worst_images(matched, "hard", at_score=0.5, most=1)] == ["0--A/bad"]
    with pytest.raises(ConfigError, match="did you mean 'hard'"):
        worst_images(matched, "hart", at_score=0.5)
