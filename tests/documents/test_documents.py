"""What is taken for a command."""

from __future__ import annotations

import pytest

from tests.documents.documents import Command, commands_of, redirections, simple_commands
from tests.documents.exceptions import Shortened

TEXT = """\
# featherface detect

    featherface detect SOURCE... [options]
    featherface train --data faces \\
        --epochs 2                        # a long line

Say `featherface detect photo.jpg --out drawn` or `featherface detect`, or `pip install x`; \
`featherface count-params
--model v1` goes over two lines.

- a point of a list that goes on
    featherface is no command here

    seed = 1

```sh
# a remark
find . | featherface detect - --jsonl > faces.jsonl   # names
```

```python
featherface = detect
```
"""


def test_commands_stand_in_blocks_and_whole_ones_in_sentences() -> None:
    assert [(each.line, each.text) for each in commands_of(TEXT, "a.md")] == [
        (3, "featherface detect SOURCE... [options]"),
        (4, "featherface train --data faces --epochs 2"),
        (7, "featherface detect photo.jpg --out drawn"),
        (7, "featherface count-params --model v1"),
        (17, "find . | featherface detect - --jsonl > faces.jsonl"),
    ]


@pytest.mark.parametrize(
    ("text", "synopsis"),
    [
        ("featherface detect SOURCE...", True),
        ("featherface detect a.jpg [options]", True),
        ("featherface export --model FILE_OR_NAME --package DIR", True),
        ("featherface train --data DIR --set 'a=[1, 2]'", False),
        ('pip install ".[dev]"', False),
        ("featherface detect 'scans/**/*.tif'", False),
    ],
)
def test_a_synopsis_has_words_that_nobody_types(text: str, synopsis: bool) -> None:
    assert Command(text, "a.md", 1).is_synopsis == synopsis


def test_a_line_is_taken_apart_into_the_programs_that_it_starts() -> None:
    assert simple_commands("A=1 find . -name '*.jpg' | featherface detect - > 'my faces' && ls; cat < x") == [
        ["find", ".", "-name", "*.jpg"],
        ["featherface", "detect", "-"],
        ["ls"],
        ["cat"],
    ]
    assert simple_commands("featherface train --set 'a=[\"b=1\"]'") == [
        ["featherface", "train", "--set", 'a=["b=1"]']
    ]


def test_files_behind_an_arrow_are_known() -> None:
    assert redirections("find . | featherface detect - > faces.jsonl") == ["faces.jsonl"]


def test_a_shortened_command_says_what_is_typed_instead() -> None:
    entry = Shortened(
        "long", ("train 400 && serve",), more="--epochs 1", less=" && serve", instead=("4", "3")
    )
    assert entry.applied("train 400 && serve") == "train 300 --epochs 1"
