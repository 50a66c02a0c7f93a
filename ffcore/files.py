"""Files that appear whole or not at all, so that a reader sees the old content or the new."""

from __future__ import annotations

import contextlib
import errno
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ffcore.errors import InputError


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Write a file under another name beside it, and give it its own name only when it is whole.

    Args:
        path: The file to be made or replaced; missing folders above it are made.

    Yields:
        The path to write to: hidden, in the same folder, with the same suffix.

    Raises:
        InputError: The folder cannot be written to, or the disk is full. Whatever happens inside the
            block, the unfinished file is removed and an older file of that name stays as it was.
    """
    path = Path(path)
    partial = path.with_name(f".{path.stem[:100]}.{secrets.token_hex(4)}.partial{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise InputError(f"{path}: is a folder; name a file")
        yield partial
        partial.replace(path)
    except OSError as error:
        raise InputError(f"{path}: {_why(error)}") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


def write_bytes(path: str | Path, content: bytes) -> None:
    """Writes a file whole or not at all.

    Raises:
        InputError: The folder or the file cannot be written.
    """
    with replacing(path) as part:
        part.write_bytes(content)


def write_text(path: str | Path, content: str) -> None:
    """Writes a UTF-8 file whose lines end as they do in `content`, whole or not at all.

    Raises:
        InputError: The folder or the file cannot be written.
    """
    write_bytes(path, content.encode())


def _why(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return "cannot be written, the disk is full; free some space or choose another place"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "cannot be written, the folder does not allow it; choose another"
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return "cannot be written, a part of its path is a file; choose another folder"
    return f"cannot be written: {' '.join(str(error.strerror or error).split())}; choose another place"
