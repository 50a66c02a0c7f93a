from __future__ import annotations

import pytest

from ffcore.errors import ConfigError
from ffcore.evaluation.protocols import PROTOCOLS, protocol


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_measures_with_the_published_thresholds(name: str) -> None:
    options = protocol(name).options
    assert (options.score, options.nms, options.max_faces) == (0.02, 0.4, 750)
    assert not options.close_ups
    assert not options.clip


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("original", "as it is"),
        ("vga", "shorter side 480, longer side at most 640"),
        ("1600", "shorter side 1600, longer side at most 2150"),
        ("multiscale", "shorter side 500, 800, 1100, 1400, 1700, longer side at most 2550"),
    ],
)
def test_a_protocol_says_its_sizes_in_words(name: str, words: str) -> None:
    assert protocol(name).to_dict()["size"] == words


def test_what_was_changed_is_part_of_the_name() -> None:
    changed = protocol("vga", score=0.1, nms=0.4)
    assert changed.label == "vga, score=0.1"
    assert changed.to_dict()["score"] == 0.1
    assert protocol("vga").label == "vga"


def test_an_unknown_protocol_names_the_near_one() -> None:
    with pytest.raises(ConfigError, match="did you mean 'original'"):
        protocol("orginal")
