from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from ffcore.errors import InputError
from ffcore.export.web.runtime import ONNXRUNTIME_WEB, read_runtime
from tests.export.web.packages import FILES, write_package


def test_the_binaries_are_packed_and_the_scripts_are_as_they_were(tmp_path: Path) -> None:
    package = write_package(tmp_path / "runtime.tgz")
    wasm = read_runtime(tmp_path / "runtime.tgz", package=package)["wasm"]
    assert wasm.script == "runtime/ort.wasm.js"
    assert wasm.binary == "runtime/ort-wasm-simd-threaded.wasm.gz"
    assert wasm.contents[wasm.script] == FILES["dist/ort.wasm.bundle.min.mjs"]
    assert gzip.decompress(wasm.contents[wasm.binary]) == FILES["dist/ort-wasm-simd-threaded.wasm"]
    assert wasm.size == len(wasm.contents[wasm.script]) + len(wasm.contents[wasm.binary])


def test_packing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    package = write_package(tmp_path / "runtime.tgz")
    first, second = (read_runtime(tmp_path / "runtime.tgz", package=package) for _ in range(2))
    assert first == second


def test_an_unpacked_package_is_taken_as_it_is(tmp_path: Path) -> None:
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    assert read_runtime(tmp_path)["webgpu"].contents["runtime/ort.webgpu.js"] in FILES.values()


def test_a_file_that_is_not_the_pinned_package_is_refused(tmp_path: Path) -> None:
    write_package(tmp_path / "runtime.tgz")
    with pytest.raises(InputError, match=f"is not onnxruntime-web {ONNXRUNTIME_WEB.version}"):
        read_runtime(tmp_path / "runtime.tgz")


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_package_without_a_file_is_one_line_that_names_it(kind: str, tmp_path: Path) -> None:
    package = write_package(tmp_path / "runtime.tgz", {"README.md": b""})
    given = tmp_path / "runtime.tgz" if kind == "file" else tmp_path
    with pytest.raises(InputError, match=r"has no dist/ort-wasm-simd-threaded\.wasm") as raised:
        read_runtime(given, package=package)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_missing_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing\.tgz: cannot be read"):
        read_runtime(tmp_path / "missing.tgz")
