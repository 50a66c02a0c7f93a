"""Feeds damaged files of one kind to their readers, in a process of its own with little memory.

    python -m tests.fuzz.worker KIND SEED COUNT FOLDER

It answers with one line of JSON on stdout. FOLDER keeps what was wrong; ``FOLDER/at`` names the input that is
being read, so that a crash or a hang can be repeated.
"""

from __future__ import annotations

import faulthandler
import json
import os
import random
import resource
import sys
import traceback
import unicodedata
import warnings
from pathlib import Path
from typing import Any

from ffcore.errors import FeatherFaceError
from tests.fuzz.kinds import KINDS
from tests.fuzz.mutations import mutated

MEMORY = 10**9
"""Bytes that a process may hold altogether, its libraries included."""

PATIENCE = 120.0
"""Seconds for one input on a machine with other things to do, where milliseconds are usual."""


def main() -> None:
    """Runs one worker."""
    name, seed, count, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    warnings.simplefilter("ignore")
    kind = KINDS[name]
    files = kind.make(_made(folder / "files"))
    for file in files:  # undamaged: the readers must take these, and all libraries are loaded from here on
        for read in kind.readers:
            read(file)
    _limit_memory()
    before = _snapshot(folder / "files")
    found: list[dict[str, Any]] = []
    refused = 0
    for number in range(count):
        source = random.Random(f"{name} {seed} {number}")
        target = source.choice(files)
        good = target.read_bytes()
        bad = mutated(good, source, text=kind.text)
        (folder / "at").write_text(f"{name}: seed {seed}, number {number}, {target.name}\n")
        target.write_bytes(bad)
        for read in kind.readers:
            faulthandler.dump_traceback_later(PATIENCE, exit=True)
            problem, was_refused = _problem(read, target)
            faulthandler.cancel_dump_traceback_later()
            refused += was_refused
            if problem:
                (folder / f"{number}-{target.name}").write_bytes(bad)
                found.append({"seed": seed, "number": number, "file": target.name, "problem": problem})
        if target.read_bytes() != bad:
            found.append({"seed": seed, "number": number, "file": target.name, "problem": "was overwritten"})
        target.write_bytes(good)
    if _snapshot(folder / "files") != before:
        found.append({"problem": "files appeared, went or changed"})
    peak = _peak()
    if peak > MEMORY:
        found.append({"problem": f"held {peak / 1e6:.0f} MB"})
    answer = {"kind": name, "inputs": count, "refused": refused, "peak": peak, "found": found}
    sys.stdout.write(json.dumps(answer) + "\n")


def _problem(read: Any, target: Path) -> tuple[str, bool]:
    """What is wrong with how a file was taken, and whether it was refused."""
    try:
        read(target)
    except FeatherFaceError as error:
        return _ill_said(error, target), True
    except Exception:
        return traceback.format_exc(limit=-4), True
    return "", False


def _ill_said(error: FeatherFaceError, target: Path) -> str:
    """What is wrong with a message: one line that names the file, without endless numbers."""
    text = str(error)
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError):
            return f"wanted more than {MEMORY / 1e6:.0f} MB: {text[:300]}"
        cause = cause.__cause__ or cause.__context__
    if len(text.splitlines()) != 1 or any(unicodedata.category(letter) == "Cc" for letter in text):
        return f"a message that is not one line of text: {text[:300]!r}"
    if len(text) > 2000:
        return f"a message of {len(text)} letters: {text[:300]}"
    if target.name not in text and target.parent.name not in text:
        return f"a message that names no file: {text}"
    return ""


def _limit_memory() -> None:
    """Address space beyond what is mapped by now, as much as is missing to the limit of what may be held."""
    page = os.sysconf("SC_PAGE_SIZE")
    mapped, held = (int(n) * page for n in Path("/proc/self/statm").read_text().split()[:2])
    limit = mapped + max(MEMORY - held, MEMORY // 4)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _peak() -> int:
    """The most bytes ever held by this program; getrusage counts the process that started it too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def _snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


if __name__ == "__main__":
    main()
