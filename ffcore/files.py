"""Writing files so that a reader sees the old content or the new, never half of it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ffcore.errors import InputError


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary name beside `path` that takes its place when the block ends well.

    The name keeps the suffix, since many writers choose their format by it. When the block raises,
    the temporary file is removed and `path` stays as it was.

    Args:
        path: The file to make; its folder is made too.

    Yields:
        Where to write.

    Raises:
        InputError: The folder or the file cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem[:80]}.", suffix=path.suffix, dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error
    part = Path(name)
    try:
        yield part
        # mkstemp makes files private; give the permissions that open() would have given
        umask = os.umask(0)
        os.umask(umask)
        part.chmod(0o666 & ~umask)
        part.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        part.unlink(missing_ok=True)


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
