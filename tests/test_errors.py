from __future__ import annotations

import pickle

import pytest

from ffcore.errors import CheckpointError, ConfigError, FeatherFaceError, ImageError, MissingPredictionsError

EVERY_KIND = [
    ConfigError("epochs = 0: one is needed"),
    ImageError("a.jpg", "does not exist"),
    CheckpointError("v1.pth", "no such file"),
    MissingPredictionsError("2 of 3 images", missing=["a", "b"]),
]


@pytest.mark.parametrize("quoted", ["\n", "\r\n", "\x00", "\x1b[2J", "\x85", "\u2028", "\t"])
def test_a_message_is_one_line_without_control_characters_whatever_it_quotes(quoted: str) -> None:
    for error in (ConfigError(f"a{quoted}b: unknown"), ImageError(f"a{quoted}b.jpg", "does not exist")):
        assert len(str(error).splitlines()) == 1
        assert quoted not in str(error)
        assert repr(quoted)[1:-1] in str(error)


def test_a_quotation_without_end_leaves_the_beginning_and_the_advice() -> None:
    text = str(ConfigError(f"train.toml: '{'9' * 5000}' is not a setting; did you mean 'train.epochs'?"))
    assert len(text) < 2000
    assert text.startswith("train.toml: '999")
    assert text.endswith("999' is not a setting; did you mean 'train.epochs'?")


def test_letters_of_all_languages_and_spaces_stay_as_they_are() -> None:
    name = "Größe\u202f東京\u00a0👩‍👧.jpg"
    assert name in str(ImageError(name, "does not exist"))


def test_an_image_error_keeps_the_name_as_it_is() -> None:
    assert ImageError("a\nb.jpg", "does not exist").source == "a\nb.jpg"


@pytest.mark.parametrize("error", EVERY_KIND, ids=lambda error: type(error).__name__)
def test_an_error_crosses_processes(error: FeatherFaceError) -> None:
    again = pickle.loads(pickle.dumps(error))  # noqa: S301  # what we have just written
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert again.__dict__ == error.__dict__
