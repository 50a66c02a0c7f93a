from __future__ import annotations

import hashlib
import http.server
import threading
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ffcore.errors import ConfigError, InputError
from ffcore.export.web.npm import (
    DEFAULT_REGISTRY,
    NpmPackage,
    cache_folder,
    configured_registry,
    fetch,
    integrity,
)

CONTENT = b"what a package holds" * 1000
PACKAGE = NpmPackage("small", "1.0.0", f"sha512-{b64encode(hashlib.sha512(CONTENT).digest()).decode()}")


class Registry:
    """A registry on this machine that has one file and remembers what it was asked for."""

    def __init__(self, content: bytes) -> None:
        self.asked: list[str] = []
        registry = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                registry.asked.append(self.path)
                known = self.path == "/npm/small/-/small-1.0.0.tgz"
                self.send_response(200 if known else 404)
                self.end_headers()
                if known:
                    self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/npm/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def registry() -> Iterator[Registry]:
    made = Registry(CONTENT)
    yield made
    made.close()


def test_a_package_is_fetched_once_and_then_taken_from_the_folder(registry: Registry, tmp_path: Path) -> None:
    first = fetch(PACKAGE, folder=tmp_path, registry=registry.address)
    assert first.read_bytes() == CONTENT
    assert fetch(PACKAGE, folder=tmp_path, registry=registry.address) == first
    assert registry.asked == ["/npm/small/-/small-1.0.0.tgz"]


def test_a_damaged_file_in_the_folder_is_fetched_again(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / PACKAGE.file_name).write_bytes(CONTENT[:-1])
    assert fetch(PACKAGE, folder=tmp_path, registry=registry.address).read_bytes() == CONTENT


def test_another_content_than_the_pinned_one_is_refused_and_not_kept(
    registry: Registry, tmp_path: Path
) -> None:
    other = replace(PACKAGE, integrity="sha512-" + "A" * 86 + "==")
    with pytest.raises(InputError, match=r"is not small 1\.0\.0") as raised:
        fetch(other, folder=tmp_path, registry=registry.address)
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_what_the_registry_does_not_have_is_one_line(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"small-2\.0\.0\.tgz: cannot be fetched \(Not Found\)") as raised:
        fetch(replace(PACKAGE, version="2.0.0"), folder=tmp_path, registry=registry.address)
    assert "--runtime" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_no_network_is_one_line(registry: Registry, tmp_path: Path) -> None:
    registry.close()  # nobody listens at its port any more
    with pytest.raises(InputError, match="Connection refused"):
        fetch(PACKAGE, folder=tmp_path, registry=registry.address)
    assert list(tmp_path.iterdir()) == []


def test_an_address_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no address of a registry"):
        fetch(PACKAGE, folder=tmp_path, registry="file:///etc")


def test_integrity_is_what_lock_files_say(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    assert integrity(tmp_path / "file") == PACKAGE.integrity


@pytest.fixture
def nothing_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without settings, and a search path without npm."""
    for name in ("npm_config_registry", "NPM_CONFIG_REGISTRY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path


def test_without_settings_the_public_registry_is_asked(nothing_configured: Path) -> None:
    assert configured_registry() == DEFAULT_REGISTRY


def test_the_users_file_tells_the_registry(nothing_configured: Path) -> None:
    text = "fund=false\n@mine:registry=https://mine.example\nregistry = https://npm.example/all/\n"
    (nothing_configured / ".npmrc").write_text(text)
    assert configured_registry() == "https://npm.example/all/"


def test_an_installed_npm_is_asked_before_the_users_file(nothing_configured: Path) -> None:
    (nothing_configured / ".npmrc").write_text("registry=https://file.example\n")
    (nothing_configured / "bin").mkdir()
    npm = nothing_configured / "bin" / "npm"
    npm.write_text('#!/bin/sh\n[ "$*" = "config get registry" ] && echo https://npm.example/\n')
    npm.chmod(0o755)
    assert configured_registry() == "https://npm.example/"


def test_the_variable_goes_before_everything(
    nothing_configured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (nothing_configured / ".npmrc").write_text("registry=https://file.example\n")
    monkeypatch.setenv("npm_config_registry", "https://variable.example")
    assert configured_registry() == "https://variable.example"


def test_packages_stay_where_the_system_wants_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "featherface"
