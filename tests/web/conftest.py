"""A page as the command writes it, a plain static host for it, and a browser that visits it."""

from __future__ import annotations

import functools
import http.server
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ffcore.export.parity import Case
from ffcore.faces import LANDMARK_NAMES, Faces

PHOTOS = Path(__file__).parents[2] / "examples" / "photos"
PATIENCE = 180_000  # milliseconds; machines are shared
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
    *("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"),
]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a page with the shipped weights, at a host that sends files and nothing else."""
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install '.[browser]'")
    if chromium() is None:
        pytest.skip("neither Chromium nor Chrome is installed")
    from ffcore.export.web.page import write_page

    folder = tmp_path_factory.mktemp("site")
    write_page("v2", folder, compared_on=[Case(1, 320, 320)])
    with served(folder) as address:
        yield address


class served:  # noqa: N801  # reads as a word
    """A static host of a folder, on a port of its own."""

    def __init__(self, folder: Path) -> None:
        handler = functools.partial(_Quiet, directory=str(folder))
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)

    def __enter__(self) -> str:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_port}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


def chromium() -> str | None:
    """The browser's program."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    return next(filter(None, map(shutil.which, names)), None)


@pytest.fixture(scope="session")
def camera_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the browser's camera sees: the group, again and again."""
    path = tmp_path_factory.mktemp("camera") / "group.mjpeg"
    path.write_bytes((PHOTOS / "group.jpg").read_bytes() * 3)
    return path


@pytest.fixture(scope="session")
def browser(site: str, camera_film: Path) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        film = f"--use-file-for-fake-video-capture={camera_film}"
        made = playwright.chromium.launch(executable_path=chromium(), args=[*FLAGS, film])
        yield made
        made.close()


@pytest.fixture
def open_page(site: str, browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens the page in a fresh profile and waits for the detector; script errors fail the test."""
    contexts, problems = [], []

    def open_it(*, before: str = "", **options: Any) -> Any:
        context = browser.new_context(**options)
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        if before:
            page.add_init_script(before)
        page.goto(site)
        page.get_by_role("status").filter(has_text="Ready").wait_for()
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert problems == []


def show(page: Any, photo: Path) -> None:
    """Chooses a photo and waits for its faces."""
    page.locator("#file").set_input_files(photo)
    page.locator(f'canvas[aria-label^="{photo.name}: "]').wait_for()


def faces_on(page: Any) -> tuple[dict[str, Any], Faces]:
    """What the page saves as JSON, and its faces."""
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Save faces as JSON").click()
    record = json.loads(Path(waiting.value.path()).read_text())
    found = record["faces"]
    return record, Faces(
        boxes=np.reshape([face["box"] for face in found], (-1, 4)),
        scores=np.array([face["score"] for face in found]),
        landmarks=np.reshape(
            [[face["landmarks"][name] for name in LANDMARK_NAMES] for face in found], (-1, 5, 2)
        ),
    )
