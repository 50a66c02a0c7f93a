"""What belongs to the whole process and is therefore the program's business, not the library's."""

from __future__ import annotations

import io
import os
import sys


def prepare_process() -> None:
    """Settles the standard streams and the voices of other libraries, before any of these is loaded."""
    _open_closed_streams()
    _take_any_text()
    # What is wrong with a video is said by us, in one line.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    # Threads that spin while they wait for each other starve whatever else wants a core: the workers that
    # prepare batches, first of all.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _open_closed_streams() -> None:
    """A stream that the caller has closed reads and writes nothing."""
    sys.stdin = sys.stdin or open(os.devnull, encoding="utf-8")  # noqa: SIM115, PTH123  # open to the end
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123


def _take_any_text() -> None:
    r"""File names hold any letter, or bytes that are none, whatever the locale says.

    Results for other programs are UTF-8. A byte of a name that is no text becomes ``\udcff``, which is a
    proper escape in JSON and gives the same name when Python reads it.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        encoding = sys.stdout.encoding if sys.stdout.isatty() else "utf-8"
        sys.stdout.reconfigure(encoding=encoding, errors="backslashreplace")
