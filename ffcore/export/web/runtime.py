"""ONNX Runtime for browsers, taken from its npm package."""

from __future__ import annotations

import gzip
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ffcore.errors import InputError
from ffcore.export.web.npm import NpmPackage, fetch, require_integrity

ONNXRUNTIME_WEB = NpmPackage(
    "onnxruntime-web",
    "1.30.0",
    "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ==",
)


@dataclass(frozen=True)
class Build:
    """One build of the runtime: a script, and the WebAssembly that it runs.

    Args:
        script: Inside the package.
        binary: Inside the package.
    """

    script: str
    binary: str


BUILDS: Mapping[str, Build] = {
    "wasm": Build("dist/ort.wasm.bundle.min.mjs", "dist/ort-wasm-simd-threaded.wasm"),
    "webgpu": Build("dist/ort.webgpu.bundle.min.mjs", "dist/ort-wasm-simd-threaded.asyncify.wasm"),
}
"""By what computes: the processor, or the graphics chip. A browser fetches the second one only on request."""

Reader = Callable[[str], bytes]
"""Content of a file of the package by its path inside."""


@dataclass(frozen=True)
class PackedBuild:
    """A build as it goes into the page's folder.

    Args:
        script: Path within the folder.
        binary: Path within the folder.
        contents: Of both, by path.
    """

    script: str
    binary: str
    contents: Mapping[str, bytes]

    @property
    def size(self) -> int:
        """Bytes that are sent."""
        return sum(map(len, self.contents.values()))


def read_runtime(
    given: Path | None = None, *, package: NpmPackage = ONNXRUNTIME_WEB
) -> dict[str, PackedBuild]:
    """The builds of the runtime, ready for a static host.

    The WebAssembly is packed by gzip: not every host packs what it sends, and packed it is a quarter. Scripts
    end in ``.js``, since not every host knows ``.mjs``.

    Args:
        given: The package's file, or a folder into which it was unpacked (taken as it is, so that a build of
            one's own can be used); None fetches the file from the registry.
        package: Which package; a file must be exactly this one.

    Returns:
        The builds by what computes, see `BUILDS`.

    Raises:
        InputError: The package cannot be fetched or read, is another one, or lacks a file.
    """
    read = _folder_reader(given) if given and given.is_dir() else _tar_reader(given, package)
    return {name: _packed(build, read) for name, build in BUILDS.items()}


def _packed(build: Build, read: Reader) -> PackedBuild:
    script = f"runtime/{Path(build.script).name.removesuffix('.bundle.min.mjs')}.js"
    binary = f"runtime/{Path(build.binary).name}.gz"
    # without time and name, so that the same input gives the same bytes
    packed = gzip.compress(read(build.binary), mtime=0)
    return PackedBuild(script, binary, {script: read(build.script), binary: packed})


def _folder_reader(folder: Path) -> Reader:
    def read(name: str) -> bytes:
        try:
            return (folder / name).read_bytes()
        except OSError as error:
            raise _missing(folder, name, error.strerror or "unreadable") from error

    return read


def _tar_reader(given: Path | None, package: NpmPackage) -> Reader:
    if given is not None:
        require_integrity(given, package)
    path = given or fetch(package)

    def read(name: str) -> bytes:
        try:
            with tarfile.open(path) as archive:
                file = archive.extractfile(f"package/{name}")
                if file is None:
                    raise KeyError(name)
                return file.read()
        except (OSError, tarfile.TarError, KeyError) as error:
            raise _missing(path, name, type(error).__name__) from error

    return read


def _missing(source: Path, name: str, reason: str) -> InputError:
    return InputError(
        f"{source}: has no {name} ({reason}); give the file or the unpacked folder of "
        f"{ONNXRUNTIME_WEB.name} {ONNXRUNTIME_WEB.version}"
    )
