"""What is taken for a command."""

from __future__ import annotations

import pytest

from tests.documents.documents import Command, commands_of, redirections, simple_commands
from tests.documents.exceptions import Shortened
from tests.documents.parsing import calls, promised, understood

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


@pytest.mark.parametrize(
    "text", ["featherface detect a.jpg --modle v2", "featherface detct a.jpg", "python -m ffcli detect"]
)
def test_what_the_parser_refuses_is_not_understood(text: str) -> None:
    (arguments,) = calls(text)
    with pytest.raises(Exception, match=r"modle|detct|sources"):
        understood(arguments)


def test_the_program_is_found_behind_torchrun() -> None:
    call = "torchrun --standalone --nproc-per-node 2 -m ffcli train --data faces --out runs/two"
    assert calls(call) == [["train", "--data", "faces", "--out", "runs/two"]]
    with pytest.raises(SystemExit):
        calls("torchrun --standalone --processes 2 -m ffcli train")


def test_what_a_command_must_leave_is_known_from_its_options() -> None:
    assert promised("featherface detect a.jpg --out drawn --crops c --coco > faces.json && ls") == [
        "faces.json",
        "drawn",
        "c",
    ]
    assert promised("featherface convert faces --coco faces.json") == ["faces.json"]
    assert promised("featherface train --data faces --check") == []
