from __future__ import annotations

import json
import re
from pathlib import Path

import onnxruntime
import pytest

from ffcore.detection.options import DetectorOptions
from ffcore.errors import ConfigError, InputError
from ffcore.export.parity import Case
from ffcore.export.web.npm import NpmPackage
from ffcore.export.web.page import LOWEST_SCORE, WebPage, write_page
from ffcore.models.variants import VARIANTS
from ffcore.models.weights import save_network
from tests.export.web.packages import write_package
from tests.models.random_weights import random_network


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "v2.safetensors"
    save_network(random_network(VARIANTS["v2"]), path, facts={"score_threshold": "0.37"})
    return path


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, NpmPackage]:
    path = tmp_path_factory.mktemp("runtime") / "small.tgz"
    return path, write_package(path)


@pytest.fixture(scope="module")
def page(
    weights: Path, runtime: tuple[Path, NpmPackage], tmp_path_factory: pytest.TempPathFactory
) -> WebPage:
    """Written where an older page lies beside a file of the host's."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "index.html").write_text("the page of an older version")
    (folder / "settings.json").write_text('{"made_by": "featherface 0.0.1"}')
    (folder / "CNAME").write_text("faces.example\n")
    return write_page(
        weights, folder, max_faces=5, runtime=runtime[0], package=runtime[1], compared_on=[Case(1, 64, 96)]
    )


def files_of(page: WebPage) -> set[str]:
    """What lies in the folder, by paths within it."""
    return {path.relative_to(page.folder).as_posix() for path in page.folder.rglob("*") if path.is_file()}


def test_every_file_that_the_page_names_lies_in_the_folder(page: WebPage) -> None:
    """Scripts, styles and pictures by their references; the rest by the settings."""
    named = set(re.findall(r'(?:href|src)="([^"]+)"', (page.folder / "index.html").read_text()))
    for script in page.folder.glob("*.js"):
        named |= set(re.findall(r'from "\./([^"]+)"', script.read_text()))
        named |= set(re.findall(r'(?:URL|fetch)\("([^"]+)"', script.read_text()))
    settings = json.loads((page.folder / "settings.json").read_text())
    named |= {settings["model"]}
    named |= {runtime[key] for runtime in settings["runtimes"].values() for key in ("script", "binary")}
    assert files_of(page) == named | {"index.html", "NOTICE.txt", "CNAME"}


def test_sizes_are_those_on_the_disk(page: WebPage) -> None:
    assert page.sizes == {
        name: (page.folder / name).stat().st_size for name in files_of(page) if name != "CNAME"
    }
    assert page.first_visit == sum(
        size for name, size in page.sizes.items() if "webgpu" not in name and "asyncify" not in name
    ) - page.sizes["NOTICE.txt"]  # fmt: skip


def test_json_tells_the_sizes_and_the_comparison(page: WebPage) -> None:
    told = json.loads(json.dumps(page.to_dict()))
    assert told["format"] == "web"
    assert told["first_visit"] < told["bytes"] == sum(told["files"].values())
    assert told["parity"][0]["height"] == 64


def test_the_graph_holds_the_lowest_score_and_the_slider_the_recommended_one(page: WebPage) -> None:
    session = onnxruntime.InferenceSession(page.folder / "model.onnx")
    assert session.get_inputs()[0].type == "tensor(uint8)"
    assert session.get_modelmeta().custom_metadata_map["featherface.score_threshold"] == repr(LOWEST_SCORE)
    settings = json.loads((page.folder / "settings.json").read_text())
    assert settings["score"] == 0.37
    assert settings["lowest_score"] == LOWEST_SCORE
    assert settings["max_side"] == DetectorOptions().max_side
    assert "256,156 parameters" in settings["about"]


def test_nothing_in_the_page_names_another_host(page: WebPage) -> None:
    for path in page.folder.iterdir():
        if path.suffix in {".html", ".js", ".css", ".json"}:
            found = re.findall(r"(?:https?:)?//[\w-]+\.\w[^\s\"']*", path.read_text())
            assert [address for address in found if "www.w3.org/2000/svg" not in address] == [], path.name


def test_an_older_page_is_replaced_and_files_of_others_stay(page: WebPage) -> None:
    assert "older" not in (page.folder / "index.html").read_text()
    assert json.loads((page.folder / "settings.json").read_text())["max_faces"] == 5
    assert (page.folder / "CNAME").read_text() == "faces.example\n"


def test_the_page_of_somebody_else_is_not_touched(
    weights: Path, runtime: tuple[Path, NpmPackage], tmp_path: Path
) -> None:
    (tmp_path / "index.html").write_text("mine")
    with pytest.raises(ConfigError, match=r"holds an index\.html that is no page of this program"):
        write_page(weights, tmp_path, runtime=runtime[0], package=runtime[1])
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]


def test_without_a_runtime_nothing_is_written(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing\.tgz: cannot be read"):
        write_page(weights, tmp_path / "page", runtime=tmp_path / "missing.tgz")
    assert list(tmp_path.iterdir()) == []
