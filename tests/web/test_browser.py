"""The page in a real browser, beside the library on the same photos."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from ffcore.detection import FaceDetector
from ffcore.export.parity import Case
from ffcore.export.web.page import LOWEST_SCORE, write_page
from ffcore.faces import Faces
from ffcore.images import read_image
from tests.public_weights import PUBLIC
from tests.web.conftest import PATIENCE, PHOTOS, faces_on, served, show

log = logging.getLogger(__name__)  # figures for docs/web.md: pytest --log-cli-level=INFO

PIXELS = 0.5
SCORE = 1e-3
WANTED = {"astronaut.jpg": 1, "cat.jpg": 0, "grace_hopper.jpg": 1, "group.jpg": 18}

COUNT_MESSAGES = """
    window.sent = 0;
    const post = Worker.prototype.postMessage;
    Worker.prototype.postMessage = function (...given) { window.sent++; return post.apply(this, given); };
"""


def require_equal(found: Faces, wanted: Faces) -> None:
    """Both in the same order, which is that of the scores."""
    assert len(found) == len(wanted)
    if len(wanted):
        differences = {
            "boxes": np.abs(found.boxes - wanted.boxes).max(),
            "landmarks": np.abs(found.landmarks - wanted.landmarks).max(),
            "scores": np.abs(found.scores - wanted.scores).max(),
        }
        log.info("%d faces, largest differences %s", len(wanted), differences)
        assert differences["boxes"] <= PIXELS
        assert differences["landmarks"] <= PIXELS
        assert differences["scores"] <= SCORE


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return FaceDetector.load("v2", device="cpu", threads=1)


def test_the_example_photos_have_the_faces_that_detect_finds(
    open_page: Callable[..., Any], detector: FaceDetector
) -> None:
    page = open_page()
    for name, count in WANTED.items():
        show(page, PHOTOS / name)
        record, found = faces_on(page)
        assert len(found) == count, name
        assert record["image"] == name
        assert (record["height"], record["width"]) == read_image(PHOTOS / name).shape[:2]
        require_equal(found, detector(PHOTOS / name))


@pytest.mark.reference
@pytest.mark.parametrize("weights", PUBLIC)
def test_a_page_with_public_weights_finds_their_faces(
    weights: str, reference: Path, browser: Any, tmp_path: Path
) -> None:
    source = reference / "weights" / weights
    write_page(source, tmp_path / "site", compared_on=[Case(1, 320, 320)])
    detector = FaceDetector.load(source, device="cpu")
    with served(tmp_path / "site") as address:
        page = browser.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(address)
        page.get_by_role("status").filter(has_text="Ready").wait_for()
        for name, count in WANTED.items():
            show(page, PHOTOS / name)
            _, found = faces_on(page)
            assert len(found) == count, name
            require_equal(found, detector(PHOTOS / name))
        page.close()


def test_a_large_photo_on_its_side_is_turned_shrunk_and_looked_at_twice(
    open_page: Callable[..., Any], detector: FaceDetector, tmp_path: Path
) -> None:
    """Orientation 6 in the file, a longer side beyond the limit, and one face larger than any anchor."""
    hopper = Image.open(PHOTOS / "grace_hopper.jpg").resize((1800, 2110), Image.Resampling.LANCZOS)
    photo = Image.new("RGB", (1800, 2600), "gray")
    photo.paste(hopper, (0, 490))
    photo.paste(Image.open(PHOTOS / "astronaut.jpg").resize((480, 480)), (1200, 0))
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "sideways.jpg"
    photo.transpose(Image.Transpose.ROTATE_90).save(path, quality=95, exif=exif)

    wanted = detector.detect(path)
    assert (wanted.width, wanted.height, wanted.views) == (1800, 2600, 2)
    assert wanted.faces.sizes.max() > 700
    page = open_page()
    show(page, path)
    record, found = faces_on(page)
    assert (record["width"], record["height"]) == (1800, 2600)
    require_equal(found, wanted.faces)


def test_the_slider_changes_the_faces_without_the_network(
    open_page: Callable[..., Any], detector: FaceDetector
) -> None:
    page = open_page(before=COUNT_MESSAGES)
    show(page, PHOTOS / "group.jpg")
    sent = page.evaluate("window.sent")
    slider = page.get_by_role("slider", name="Least score")
    assert float(slider.input_value()) == detector.options.score

    slider.press("Home")
    assert float(slider.input_value()) == LOWEST_SCORE
    lowest = FaceDetector(detector.backend, _with_score(detector, LOWEST_SCORE))
    require_equal(faces_on(page)[1], lowest(PHOTOS / "group.jpg"))
    for _ in range(20):
        slider.press("ArrowRight")
    quarter = FaceDetector(detector.backend, _with_score(detector, 0.25))
    require_equal(faces_on(page)[1], quarter(PHOTOS / "group.jpg"))
    slider.press("End")
    highest = FaceDetector(detector.backend, _with_score(detector, float(slider.input_value())))
    require_equal(faces_on(page)[1], highest(PHOTOS / "group.jpg"))
    assert page.evaluate("window.sent") == sent
    show(page, PHOTOS / "cat.jpg")
    assert page.get_by_role("status").inner_text() == "No faces."


def _with_score(detector: FaceDetector, score: float) -> Any:
    return replace(detector.options, score=score)


def test_hidden_faces_are_saved_at_full_size_and_the_rest_is_as_it_was(
    open_page: Callable[..., Any], detector: FaceDetector
) -> None:
    page = open_page(viewport={"width": 375, "height": 800})  # where the photo is shown smaller than it is
    show(page, PHOTOS / "group.jpg")
    photo = read_image(PHOTOS / "group.jpg")
    faces = detector(PHOTOS / "group.jpg")
    save = page.get_by_role("button", name="Save photo, faces hidden")
    assert save.is_disabled()
    inside = np.zeros(photo.shape[:2], np.bool_)
    centres = np.zeros_like(inside)
    for x1, y1, x2, y2 in faces.boxes:
        w, h = x2 - x1, y2 - y1
        inside[max(int(y1 - h / 4), 0) : int(y2 + h / 4), max(int(x1 - w / 4), 0) : int(x2 + w / 4)] = True
        centres[int(y1 + h / 4) : int(y2 - h / 4), int(x1 + w / 4) : int(x2 - w / 4)] = True

    saved = {}
    for choice, method in (("Blur", "blur"), ("Pixelate", "pixelate"), ("Black", "solid")):
        page.get_by_role("radio", name=choice).check(force=True)
        with page.expect_download() as waiting:
            save.click()
        assert waiting.value.suggested_filename == "group-hidden.jpg"
        saved[method] = read_image(Path(waiting.value.path()))
        difference = np.abs(saved[method].astype(int) - photo).max(axis=2)
        assert saved[method].shape == photo.shape
        assert np.percentile(difference[~inside], 99) <= 8  # what JPEG does
        assert difference[centres].mean() > 8
        assert len(detector(saved[method])) < len(faces) / 2
    assert saved["solid"][centres].max() < 30
    detail = {name: _detail(image, centres) for name, image in {**saved, "photo": photo}.items()}
    assert detail["blur"] < detail["photo"] / 4


def _detail(image: np.ndarray, where: np.ndarray) -> float:
    """How much neighbouring pixels differ."""
    return float(np.abs(cv2.Laplacian(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.CV_64F))[where].mean())


def test_a_photo_can_be_dropped_and_pasted(open_page: Callable[..., Any]) -> None:
    page = open_page()
    make = """async ([type, event, bytes]) => {
        const given = new DataTransfer();
        given.items.add(new File([new Uint8Array(bytes)], type, { type: "image/jpeg" }));
        const init = { bubbles: true, cancelable: true };
        document.body.dispatchEvent(event === "drop"
            ? new DragEvent("drop", { ...init, dataTransfer: given })
            : new ClipboardEvent("paste", { ...init, clipboardData: given }));
    }"""
    content = list((PHOTOS / "astronaut.jpg").read_bytes())
    for event in ("drop", "paste"):
        page.evaluate(make, [f"by-{event}.jpg", event, content])
        page.locator(f'canvas[aria-label="by-{event}.jpg: 1 face"]').wait_for()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("broken.jpg", b"\xff\xd8\xff\xe0" + b"nothing" * 20, "broken.jpg cannot be read. It may be damaged"),
        ("notes.txt", b"buy milk", "notes.txt is no picture. Choose a JPEG, PNG or WebP file."),
        ("empty.png", b"", "empty.png is empty."),
        ("phone.heic", b"\0\0\0\x18ftypheic", "This browser cannot read phone.heic. Save it as JPEG"),
    ],
)
def test_a_file_that_is_no_photo_is_said_in_plain_words(
    name: str, content: bytes, words: str, open_page: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    page = open_page()
    page.locator("#file").set_input_files(tmp_path / name)
    page.get_by_role("status").filter(has_text=words).wait_for()
    show(page, PHOTOS / "astronaut.jpg")  # and the page goes on
    assert page.get_by_role("status").inner_text() == "1 face."


def test_the_camera_is_watched_until_it_is_stopped_and_its_last_picture_stays(
    open_page: Callable[..., Any],
) -> None:
    page = open_page()
    page.get_by_role("button", name="Use the camera").click()
    page.locator('canvas[aria-label^="camera: "]').wait_for()
    page.get_by_role("button", name="Stop and keep the picture").click()
    page.get_by_role("button", name="Use the camera").wait_for()
    record, found = faces_on(page)
    assert record["image"] == "camera"
    assert len(found) >= 9, "half of the group, which the camera shows smaller"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("NotFoundError", "No camera was found."),
        ("NotAllowedError", "The browser may not use the camera."),
        ("NotReadableError", "The camera is busy."),
    ],
)
def test_a_missing_camera_is_said_in_plain_words(
    error: str, words: str, open_page: Callable[..., Any]
) -> None:
    refuse = f"navigator.mediaDevices.getUserMedia = async () => {{ throw new DOMException('', '{error}') }}"
    page = open_page(before=refuse)
    page.get_by_role("button", name="Use the camera").click()
    page.get_by_role("status").filter(has_text=words).wait_for()


def test_nothing_is_asked_of_another_host_and_the_policy_would_not_let_it(
    open_page: Callable[..., Any], site: str, tmp_path: Path
) -> None:
    asked: list[str] = []
    page = open_page()
    page.context.on("request", lambda request: asked.append(request.url))
    page.reload()
    page.get_by_role("status").filter(has_text="Ready").wait_for()
    show(page, PHOTOS / "group.jpg")
    assert {re.sub(r"^blob:", "", url).startswith(site) for url in asked} == {True}
    assert not any("webgpu" in url or "asyncify" in url for url in asked)
    with served(tmp_path) as elsewhere:
        attempt = f"fetch('{elsewhere}/', {{ mode: 'no-cors' }}).then(() => 'went out', () => 'refused')"
        assert page.evaluate(attempt) == "refused"
        assert [worker.evaluate(attempt) for worker in page.workers] == ["refused"]


@pytest.mark.parametrize("width", [320, 375, 768, 1440])
def test_the_page_fits_its_window(width: int, open_page: Callable[..., Any]) -> None:
    page = open_page(viewport={"width": width, "height": 800})
    show(page, PHOTOS / "group.jpg")
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width


def test_every_control_is_reached_by_the_keyboard_and_has_a_name(open_page: Callable[..., Any]) -> None:
    page = open_page()
    show(page, PHOTOS / "astronaut.jpg")
    page.get_by_role("radio", name="Blur").check(force=True)
    page.locator("summary").click()
    page.locator("h1").click()
    reached = []
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.localName"))
    assert reached[:8] == ["choose", "camera", "score", "input", "save", "json", "summary", "li"]
    snapshot = page.locator("body").aria_snapshot()
    for control in (
        'button "Choose a photo"',
        'button "Use the camera"',
        'slider "Least score"',
        'radio "Show"',
        'button "Save faces as JSON"',
        'img "astronaut.jpg: 1 face"',
    ):
        assert control in snapshot
