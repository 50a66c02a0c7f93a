"""Files anywhere: on this machine's disks or in any store that fsspec knows, by one kind of address."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from ffcore import files
from ffcore.errors import InputError, MissingDependencyError, one_line

_OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oci", "oss"})
"""Protocols of stores in which a file appears only when all of it has arrived, and which cannot rename."""

_READ_BUFFER = 8 * 2**20


def absolute(address: str | Path) -> str:
    """The address as every machine of a cluster understands it.

    Args:
        address: A path, relative to the current folder or not, or a URI such as ``s3://bucket/photos``.

    Returns:
        A URI as it is, without a slash at its end; an absolute path for anything on this machine's disks.
    """
    text = str(address).removeprefix("file://")
    if "://" in text:
        return text.rstrip("/")
    return str(Path(text).expanduser().absolute())


def filesystem(address: str) -> tuple[Any, str]:
    """The file system of an address, and its path there.

    Args:
        address: As `absolute` gives it.

    Raises:
        MissingDependencyError: The package for this kind of store is not installed.
        InputError: There is no such kind of store.
    """
    import fsspec

    try:
        system, path = fsspec.core.url_to_fs(address)
    except ImportError as error:
        raise MissingDependencyError(
            f"{address}: {one_line(error)}; pip install it on every machine"
        ) from None
    except ValueError as error:
        raise InputError(f"{address}: no such kind of store: {one_line(error)}") from None
    return system, path


def with_protocol(system: Any, path: str) -> str:
    """The address of a path in a file system; a plain path for this machine's disks."""
    return path if _protocol(system) == "file" else str(system.unstrip_protocol(path))


def open_for_reading(address: str) -> Any:
    """A binary file that can be read as a stream or with jumps.

    Raises:
        OSError: It cannot be opened; stores have errors of their own below this.
    """
    system, path = filesystem(address)
    if _protocol(system) == "file":
        return Path(path).open("rb")
    return system.open(path, "rb", block_size=_READ_BUFFER)


class Folder:
    """The folder of a job's results. Files appear in it whole or not at all.

    On object stores a file is one upload, which appears when it is complete; elsewhere it is written
    under another name and renamed.

    Args:
        address: A path or a URI; made when the first file is written.

    Raises:
        MissingDependencyError: The package for this kind of store is not installed.
        InputError: There is no such kind of store.
    """

    def __init__(self, address: str | Path) -> None:
        self.address = absolute(address)
        self._system, self._path = filesystem(self.address)
        self._protocol = _protocol(self._system)

    def names(self) -> set[str]:
        """Names of the files directly in the folder; none when the folder does not exist.

        Raises:
            InputError: The store does not answer.
        """
        self._system.invalidate_cache()
        try:
            found = self._system.ls(self._path, detail=False)
        except FileNotFoundError:
            return set()
        except Exception as error:  # stores raise what they like
            raise InputError(f"{self.address}: cannot be listed: {one_line(error)}") from error
        return {str(path).rstrip("/").rpartition("/")[2] for path in found}

    def read(self, name: str) -> bytes:
        """The content of a file.

        Raises:
            InputError: There is no such file, or it cannot be read.
        """
        try:
            return bytes(self._system.cat_file(self._place(name)))
        except Exception as error:  # as above
            raise InputError(f"{self.address}/{name}: cannot be read: {one_line(error)}") from error

    def open(self, name: str) -> Any:
        """A file opened for reading with jumps.

        Raises:
            OSError: It cannot be opened.
        """
        return open_for_reading(f"{self.address}/{name}")

    def write(self, name: str, content: bytes) -> None:
        """Writes a file.

        Raises:
            InputError: It cannot be written.
        """
        if self._protocol == "file":
            files.write_bytes(self._place(name), content)
        else:
            self._store(name, lambda target: self._system.pipe_file(target, content))

    def upload(self, name: str, local: Path) -> None:
        """Writes a file with the content of a local one.

        Raises:
            InputError: It cannot be written.
        """
        if self._protocol == "file":
            import shutil

            with files.replacing(self._place(name)) as part:
                shutil.copyfile(local, part)
        else:
            self._store(name, lambda target: self._system.put_file(str(local), target))

    def _store(self, name: str, write: Any) -> None:
        place = self._place(name)
        try:
            self._system.makedirs(place.rpartition("/")[0], exist_ok=True)
            if self._protocol in _OBJECT_STORES:
                write(place)
                return
            parent, _, last = place.rpartition("/")
            partial = f"{parent}/.{last}.{secrets.token_hex(4)}.partial"
            write(partial)
            self._system.mv(partial, place)
        except Exception as error:  # as above
            raise InputError(f"{self.address}/{name}: cannot be written: {one_line(error)}") from error

    def _place(self, name: str) -> str:
        return f"{self._path.rstrip('/')}/{name}"


def _protocol(system: Any) -> str:
    name = system.protocol if isinstance(system.protocol, str) else system.protocol[0]
    return "file" if name == "local" else str(name)
