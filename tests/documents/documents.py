"""What the documents tell a reader to type."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "ffcore" / "weights" / "v2.md",
)

PROGRAMS = ("featherface", "python", "python3", "torchrun", "pip", "pytest", "find", "ray", "ruff", "mypy")
_COMMAND = re.compile(rf"(?:[A-Z_]+=\S+ )*(?:{'|'.join(PROGRAMS)}) ")
_FENCE = re.compile(r" *```(\w*)")
_SHELLS = ("sh", "bash")
_INLINE = re.compile(r"`(featherface \S[^`]*)`")
_COMMENT = re.compile(r"(?:^|\s+)#(?:\s.*)?$")
# What nobody types: an option in brackets, SOURCE..., a word that stands for any value.
_PLACEHOLDER = re.compile(r"\.\.\.|…| \[|\b(?:FILE|FILE_OR_NAME|PATH|URI)\b")


@dataclass(frozen=True)
class Command:
    """One command line of a document.

    Args:
        text: As it is typed, on one line and without its comment.
        document: Where it stands, relative to the repository.
        line: Its first line there, from 1.
    """

    text: str
    document: str
    line: int

    @property
    def is_synopsis(self) -> bool:
        """Whether it shows a form, with placeholders that nobody types."""
        return bool(_PLACEHOLDER.search(self.text))

    def __str__(self) -> str:
        return f"{self.document}:{self.line}: {self.text}"


def all_commands() -> list[Command]:
    """Every command line of all documents, in their order."""
    return [
        command
        for path in DOCUMENTS
        for command in commands_of(path.read_text("utf-8"), path.relative_to(ROOT).as_posix())
    ]


def commands_of(text: str, document: str) -> list[Command]:
    """The command lines of one document: those of its blocks, and complete ones within sentences."""
    found = [Command(command, document, line) for line, command in _typed(text)]
    for match in _INLINE.finditer(_prose(text)):
        words = " ".join(match[1].split())
        if len(words.split()) > 2:  # two words are the name of a command
            found.append(Command(words, document, text.count("\n", 0, match.start()) + 1))
    return sorted(found, key=lambda command: command.line)


def _typed(text: str) -> Iterator[tuple[int, str]]:
    """Command lines of the blocks, with the number of their first line."""
    begun: tuple[int, str] | None = None
    for number, line, fenced in _block_lines(text):
        line = _without_comment(line.strip())
        if begun:
            first, line = begun[0], f"{begun[1]} {line}"
        else:
            first = number
        if line.endswith("\\"):
            begun = (first, line[:-1].rstrip())
            continue
        begun = None
        if line and (fenced or _COMMAND.match(line)):
            yield first, line


def _block_lines(text: str) -> Iterator[tuple[int, str, bool]]:
    """Lines of shell blocks and of indented ones: number, line, whether the block says that it is shell."""
    language: str | None = None
    before = ""
    indented = False
    for number, line in enumerate(text.splitlines(), start=1):
        fence = _FENCE.match(line)
        if fence:
            language = fence[1] if language is None else None
        elif language is not None:
            if language in _SHELLS:
                yield number, line, True
        else:
            # indented lines are a block after an empty line; otherwise they go on with a list
            indented = line.startswith("    ") and (indented or not before.strip())
            if indented:
                yield number, line, False
        before = line


def _prose(text: str) -> str:
    """The text with its blocks made empty, so that places stay what they are."""
    lines = text.splitlines(keepends=True)
    inside = False
    for number, line in enumerate(lines):
        fence = _FENCE.match(line)
        if fence or inside or line.startswith("    "):
            lines[number] = re.sub(r"[^\n]", " ", line)
        inside ^= bool(fence)
    return "".join(lines)


def _without_comment(line: str) -> str:
    return _COMMENT.sub("", line) if " # " in line or line.startswith("#") else line


def simple_commands(text: str) -> list[list[str]]:
    """The words of each program that a command line starts: pipes, lists and redirections taken apart."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    found: list[list[str]] = [[]]
    target = False
    for word in lexer:
        if set(word) <= set("|&;()"):
            found.append([])
        elif set(word) <= set("<>"):
            target = True
        elif target:
            target = False
        elif found[-1] or not re.fullmatch(r"[A-Z_]+=.*", word):
            found[-1].append(word)
    return [words for words in found if words]


def redirections(text: str) -> list[str]:
    """The files that a command line writes by ``>``."""
    return re.findall(r">\s*([^\s>&|]+)", text)
