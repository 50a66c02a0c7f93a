from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ffcore.detection.job
from ffcore.detection import DetectorOptions, FaceDetector
from ffcore.detection.job import Outputs, detect_sources
from ffcore.errors import ConfigError
from ffcore.events import Event, Noticed
from ffcore.images.encode import write_image
from ffcore.images.sources import Source, find_sources
from ffcore.images.video import VideoReader
from ffcore.images.video_writer import VideoWriter
from tests.detection.toys import ToyBackend


def test_a_camera_keeps_its_recording_when_the_caller_stops_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = tmp_path / "film.mp4"
    with VideoWriter(film, fps=10, size=(64, 64)) as video:
        for level in range(6):
            video.write(np.full((64, 64, 3), 20 * level, np.uint8))
    monkeypatch.setattr(ffcore.detection.job, "VideoReader", lambda _: VideoReader(film))
    camera = Source("camera", "camera 0", None, 0, Path("camera-0"))
    found = detect_sources(
        FaceDetector(ToyBackend()), [camera], outputs=Outputs(out=tmp_path / "out", hold=0)
    )
    for _ in range(3):
        next(found)
    found.close()  # type: ignore[attr-defined]  # what an interruption outside the loop comes to
    with VideoReader(tmp_path / "out" / "camera-0.mp4") as video:
        assert len(list(video)) == 3


def test_what_looks_closer_is_told_in_the_names_of_the_settings(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", np.zeros((64, 128, 3), np.uint8))
    sources, _ = find_sources([tmp_path])
    told: list[Event] = []
    detector = FaceDetector(ToyBackend(), DetectorOptions(max_side=32))
    list(detect_sources(detector, sources, on_event=told.append))
    (noticed,) = [event for event in told if isinstance(event, Noticed)]
    assert noticed.message == "128×64 was searched at 32×16; a larger max_side, or tile, looks closer"
    assert noticed.settings == ("max_side", "tile")


def test_hiding_faces_without_a_place_for_the_copies_is_refused() -> None:
    with pytest.raises(ConfigError, match="anonymize needs a place for the changed copies: give out"):
        Outputs(anonymize="blur")
