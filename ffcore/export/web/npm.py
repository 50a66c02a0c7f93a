"""Packages of the npm registry, pinned and checked, without npm."""

from __future__ import annotations

import binascii
import hashlib
import os
import shutil
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from ffcore._version import __version__
from ffcore.errors import ConfigError, InputError
from ffcore.files import replacing

DEFAULT_REGISTRY = "https://registry.npmjs.org"
_TIMEOUT = 60.0  # seconds without a byte
_BLOCK = 1 << 20


@dataclass(frozen=True)
class NpmPackage:
    """One version of a package, told by its content.

    Args:
        name: As in the registry, without a scope.
        version: Exact.
        integrity: "sha512-" and the digest of the package's file in base64, as lock files have it.
    """

    name: str
    version: str
    integrity: str

    @property
    def file_name(self) -> str:
        """Of the package's file, in every registry."""
        return f"{self.name}-{self.version}.tgz"


def fetch(package: NpmPackage, *, folder: Path | None = None, registry: str | None = None) -> Path:
    """The file of a package: from the folder where it was left the last time, else from the registry.

    Args:
        package: Which.
        folder: Where fetched packages stay; `cache_folder` by default.
        registry: Address; what npm would ask by default.

    Raises:
        InputError: The registry cannot be reached, has no such package, or gave another content.
        ConfigError: The address of the registry is none.
    """
    path = (folder or cache_folder()) / package.file_name
    if path.is_file() and integrity(path) == package.integrity:
        return path
    address = f"{(registry or configured_registry()).rstrip('/')}/{package.name}/-/{package.file_name}"
    if not address.startswith(("https://", "http://")):
        raise ConfigError(
            f"{address}: is no address of a registry; set npm_config_registry to one with https"
        )
    request = urllib.request.Request(address, headers={"User-Agent": f"featherface/{__version__}"})
    with replacing(path) as part:
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer, part.open("wb") as file:
                shutil.copyfileobj(answer, file, _BLOCK)
        except (OSError, ValueError) as error:  # refused, unreachable, broken off, not found
            raise InputError(
                f"{address}: cannot be fetched ({_line(error)}); check the network, or fetch the file "
                "elsewhere and name it with --runtime"
            ) from error
        require_integrity(part, package, name=address)
    return path


def require_integrity(path: Path, package: NpmPackage, *, name: str | None = None) -> None:
    """Refuses a file that is not the package's.

    Args:
        path: The file.
        package: What it must be.
        name: How the user knows the file.

    Raises:
        InputError: It is something else, or cannot be read.
    """
    found = integrity(path)
    if found != package.integrity:
        raise InputError(
            f"{name or path}: is not {package.name} {package.version}, its content has {_short(found)} where "
            f"{_short(package.integrity)} was expected; nothing of it was used"
        )


def integrity(path: Path) -> str:
    """What a lock file would say of a file: "sha512-" and its digest in base64.

    Raises:
        InputError: The file cannot be read.
    """
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha512").digest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    return f"sha512-{binascii.b2a_base64(digest, newline=False).decode()}"


def configured_registry() -> str:
    """The registry that npm would ask: by its variable, by npm, by the user's file, or the public one."""
    for name in ("npm_config_registry", "NPM_CONFIG_REGISTRY"):
        if os.environ.get(name):
            return os.environ[name]
    return _registry_of_npm() or _registry_of_user(Path.home() / ".npmrc") or DEFAULT_REGISTRY


def _registry_of_npm() -> str | None:
    """What an installed npm answers; it also reads files that are kept for all users of a machine."""
    program = shutil.which("npm")
    if program is None:
        return None
    try:
        # from the root, so that a project's file where we happen to be does not decide
        done = subprocess.run(
            [program, "config", "get", "registry"],
            capture_output=True,
            text=True,
            timeout=30,
            cwd=Path.home(),
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    answer = done.stdout.strip()
    return answer if answer.startswith("http") else None


def _registry_of_user(path: Path) -> str | None:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    for line in lines:
        key, _, value = line.partition("=")
        if key.strip() == "registry" and value.strip():
            return value.strip().strip("\"'")
    return None


def cache_folder() -> Path:
    """Where the system wants files that can be fetched again, for this program."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "featherface"


def _short(text: str) -> str:
    return text[:19] + "…"


def _line(error: BaseException) -> str:
    reason = getattr(error, "reason", "") or error  # without "<urlopen error ...>" around it
    return " ".join(str(reason).split())[:160] or type(error).__name__
