from __future__ import annotations

import pytest

from ffcore.detection import DetectorFacts
from ffcore.errors import ConfigError
from ffcore.geometry import AnchorConfig


def test_facts_survive_the_way_through_metadata() -> None:
    facts = DetectorFacts(
        network="v2",
        mean=(1.5, 2, 3),
        channel_order="RGB",
        anchors=AnchorConfig(min_sizes=((10,), (20, 30)), strides=(4, 8), variances=(0.2, 0.3)),
        score_threshold=0.02,
        nms_threshold=0.45,
        licence="MIT",
        version="0.1",
    )
    assert DetectorFacts.from_metadata(facts.to_metadata()) == facts


def test_a_file_that_says_nothing_is_like_the_published_networks() -> None:
    facts = DetectorFacts.from_metadata({"author": "somebody", "mean": "9,9,9"})
    assert facts == DetectorFacts()
    assert facts.mean == (104, 117, 123)
    assert facts.anchors == AnchorConfig()


def test_the_documented_form_of_the_entries_is_read() -> None:
    facts = DetectorFacts.from_metadata(
        {
            "featherface.mean": "104,117,123",
            "featherface.strides": "8,16,32",
            "featherface.min_sizes": "[[16, 32], [64, 128], [256, 512]]",
            "featherface.variances": "0.1,0.2",
            "featherface.score_threshold": "0.3",
        }
    )
    assert facts == DetectorFacts(score_threshold=0.3)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("mean", "104,117"),
        ("mean", "a,b,c"),
        ("mean", '["1", "2", "3"]'),
        ("strides", "[8, 16"),
        ("strides", "8,16"),
        ("min_sizes", "[16, 32]"),
        ("min_sizes", "[[16.5], [2], [3]]"),
        ("variances", "0.1"),
        ("score_threshold", "1.5"),
        ("nms_threshold", "0.1,0.2"),
        ("channel_order", "rgb?"),
        ("strides", "[Infinity, 16, 32]"),
        ("strides", f"{'9' * 5000}, 16, 32"),
        ("min_sizes", f"[[{10**300}], [2], [3]]"),
        pytest.param("min_sizes", "[" * 100_000, id="min_sizes-nested"),
    ],
)
def test_an_entry_that_cannot_be_read_is_an_error(key: str, text: str) -> None:
    with pytest.raises(ConfigError):
        DetectorFacts.from_metadata({f"featherface.{key}": text})
