from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ffcore.images import read_image

EXAMPLES = Path(__file__).parents[2] / "examples"
PHOTOS = sorted((EXAMPLES / "photos").glob("*.jpg"))


def test_there_are_photos_with_one_face_with_many_and_with_none() -> None:
    assert {"astronaut.jpg", "grace_hopper.jpg", "group.jpg", "cat.jpg"} <= {path.name for path in PHOTOS}


@pytest.mark.parametrize("path", PHOTOS, ids=lambda path: path.name)
def test_every_photo_is_credited_small_and_readable(path: Path) -> None:
    assert f"`{path.name}`" in (EXAMPLES / "photos" / "CREDITS.md").read_text("utf-8")
    assert path.stat().st_size < 200_000
    assert min(read_image(path).shape[:2]) >= 300


def test_all_photos_together_stay_small() -> None:
    assert sum(path.stat().st_size for path in PHOTOS) < 700_000


def test_asking_the_script_for_help_writes_nothing(tmp_path: Path) -> None:
    pytest.importorskip("skimage")
    pytest.importorskip("matplotlib")
    command = [sys.executable, EXAMPLES / "make_photos.py", "--help"]
    done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert "usage: make_photos.py" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_script_makes_the_same_photos_again(tmp_path: Path) -> None:
    pytest.importorskip("skimage")
    pytest.importorskip("matplotlib")
    subprocess.run([sys.executable, EXAMPLES / "make_photos.py", tmp_path], check=True, capture_output=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == [path.name for path in PHOTOS]
    for path in PHOTOS:  # not byte by byte: libjpeg may encode a little differently elsewhere
        again = read_image(tmp_path / path.name).astype(int)
        assert np.abs(again - read_image(path)).mean() < 1.5
