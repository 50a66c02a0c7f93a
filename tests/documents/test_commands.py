"""Every command line of the documents is understood, and is run as it is written or stands in a table.

With ``FEATHERFACE_AS_WRITTEN=1`` those that the table shortens are run as they are written, too, but for two
that install something or never end. That takes hours, and the reference folder.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.documents.documents import DOCUMENTS, ROOT, Command, all_commands
from tests.documents.exceptions import AFTER, AS_WRITTEN, ELSEWHERE, SHORTENED, Shortened
from tests.documents.parsing import calls, promised, understood
from tests.documents.world import SAME, complete_wider_face, make_programs, make_world

COMMANDS = [command for command in all_commands() if not command.is_synopsis]
SHORT = {text: entry for entry in SHORTENED for text in entry.commands}
AWAY = {text: entry for entry in ELSEWHERE for text in entry.commands}


def canonical(text: str) -> str:
    """The command with one name for each folder."""
    return " ".join(SAME.get(word, word) for word in text.split(" "))


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_a_command_is_understood(command: Command) -> None:
    for arguments in calls(command.text):
        understood(arguments)


def test_no_command_is_in_the_table_twice_or_without_being_in_a_document() -> None:
    listed = Counter(text for entry in (*SHORTENED, *ELSEWHERE) for text in entry.commands)
    assert not [text for text, count in listed.items() if count > 1]
    written = {command.text for command in COMMANDS}
    assert not set(listed) - written
    assert not {*AFTER, *AFTER.values()} - written


def test_what_shortens_a_command_changes_it() -> None:
    for text, entry in SHORT.items():
        assert entry.applied(text) != text
        assert entry.less in text


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_files_of_the_repository_that_a_document_names_exist(document: Path) -> None:
    text = document.read_text("utf-8")
    for path in re.findall(r"\b(?:tests|benchmarks|examples|ffcore|ffcli)/[\w./-]*\w", text):
        assert (ROOT / path).exists(), path


class Places:
    """Copies of one world, in which commands are run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._world = make_world(folder / "world")
        if AS_WRITTEN:
            complete_wider_face(self._world, Path(os.environ["FEATHERFACE_REFERENCE"]))
        programs = make_programs(folder / "programs")
        self._environment = {
            **os.environ,
            "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', '')}",
            "PYTHONPATH": str(ROOT),
        }
        self._done: dict[str, tuple[Path, str]] = {}

    def run(self, text: str) -> tuple[Path, str]:
        """Runs a command, after the one that it needs, in a folder of its own; gives folder and stdout."""
        if text not in self._done:
            self._done[text] = self._run(text)
        return self._done[text]

    def _run(self, text: str) -> tuple[Path, str]:
        start = self.run(AFTER[text])[0] if text in AFTER else self._world
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        shutil.copytree(start, folder, symlinks=True, dirs_exist_ok=True)
        done = subprocess.run(
            [*LIMIT, "bash", "-e", "-o", "pipefail", "-c", typed(text)],
            cwd=folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{typed(text)}\nends with {done.returncode}\n{done.stderr[-3000:]}"
        return folder, done.stdout


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    folder = tmp_path_factory.mktemp("documents")
    yield Places(folder)
    shutil.rmtree(folder)


def typed(text: str) -> str:
    """What is typed for a command of the documents."""
    entry: Shortened | None = SHORT.get(text)
    return entry.applied(text) if entry and (entry.always or not AS_WRITTEN) else text


# A command that never ends should be named, where the system has something to end it with.
LIMIT = ["timeout", "7200" if AS_WRITTEN else "1200"] if shutil.which("timeout") else []

# Two documents may have the same command: it is run once.
RUN = {canonical(typed(each.text)): each for each in reversed(COMMANDS) if each.text not in AWAY}


@pytest.mark.skipif(shutil.which("bash") is None, reason="the documents are written for a POSIX shell")
@pytest.mark.parametrize("command", RUN.values(), ids=str)
def test_a_command_does_what_the_documents_say(command: Command, places: Places) -> None:
    folder, printed = places.run(command.text)
    made = promised(typed(command.text))
    for name in made:
        path = folder / name
        assert path.stat().st_size if path.is_file() else any(path.iterdir()), name
    assert made or printed.strip()
    if command.text not in AFTER.values():
        shutil.rmtree(folder)
