from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from ffcore import FaceDetector, read_image
from ffcore.errors import CheckpointError, ConfigError
from ffcore.jobs.columns import NO_PIXELS, column
from ffcore.jobs.model_file import ModelFile
from ffcore.jobs.shards import find_shards
from ffcore.jobs.stages import DetectFaces, HideFaces, decode_shards
from tests.jobs.sources import EXAMPLES, encoded, noise, one_jpeg, write_tar

BROKEN = one_jpeg()[:500]


def shard_batch(folder: Path, size: int = 1000) -> dict[str, np.ndarray]:
    shards = find_shards([folder], size=size)
    return {"shard": np.arange(len(shards)), "spec": column(shard.to_json() for shard in shards)}


@pytest.fixture(scope="module")
def detect() -> DetectFaces:
    return DetectFaces("v2")


def test_the_stages_know_nothing_of_ray() -> None:
    code = (
        "import sys; from ffcore import DetectFaces; "
        "sys.exit(bool({'ray', 'torch', 'pyarrow', 'fsspec'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_faces_of_encoded_photos_are_those_of_the_detector(detect: DetectFaces) -> None:
    photos = [(EXAMPLES / name).read_bytes() for name in ("astronaut.jpg", "cat.jpg", "grace_hopper.jpg")]
    found = detect({"image": column(photos), "key": np.array([7, 8, 9])})
    faces = FaceDetector.load("v2", threads=1)(photos)
    assert found["key"].tolist() == [7, 8, 9]
    assert "image" not in found
    assert [len(boxes) for boxes in found["boxes"]] == [1, 0, 1]
    for i, each in enumerate(faces):
        np.testing.assert_array_equal(found["boxes"][i], each.boxes)
        np.testing.assert_array_equal(found["scores"][i], each.scores)
        np.testing.assert_array_equal(found["landmarks"][i].reshape(-1, 5, 2), each.landmarks)
    assert found["error"].tolist() == ["", "", ""]
    assert found["width"].tolist() == [512, 451, 512]


def test_red_and_blue_change_places_where_arrays_are_rgb() -> None:
    image = read_image(EXAMPLES / "astronaut.jpg")
    bgr = DetectFaces("v2")({"image": column([image])})
    rgb = DetectFaces("v2", channel_order="RGB")({"image": column([image[..., ::-1].copy()])})
    np.testing.assert_array_equal(bgr["boxes"][0], rgb["boxes"][0])
    with pytest.raises(ConfigError, match="choose BGR or RGB"):
        DetectFaces("v2", channel_order="GRB")  # type: ignore[arg-type]


def test_a_broken_photo_gets_its_error_and_the_others_their_faces(detect: DetectFaces) -> None:
    found = detect({"image": column([one_jpeg(), BROKEN, b"", one_jpeg()])})
    assert [len(boxes) for boxes in found["boxes"]] == [1, 0, 0, 1]
    assert found["error"][1].startswith("is truncated")
    assert found["error"][2] == "is empty (0 bytes)"
    assert found["width"].tolist() == [128, 0, 0, 128]


def test_an_earlier_error_stays_where_there_are_no_pixels(detect: DetectFaces) -> None:
    found = detect({"image": column([NO_PIXELS, NO_PIXELS]), "error": column(["does not exist", ""])})
    assert found["error"].tolist() == ["does not exist", "has no pixels"]


def test_a_batch_of_nothing_gives_nothing(detect: DetectFaces) -> None:
    found = detect({"image": column([])})
    assert all(len(values) == 0 for values in found.values())


def test_a_column_that_is_not_there_is_named(detect: DetectFaces) -> None:
    with pytest.raises(ConfigError, match="no column 'image', only bytes"):
        detect({"bytes": column([])})


def test_a_slip_in_model_or_setting_shows_when_the_stage_is_made(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        DetectFaces(tmp_path / "gone.onnx")
    with pytest.raises(ConfigError, match="score"):
        DetectFaces("v2", score=2)


def test_weights_find_the_same_faces_after_their_way(detect: DetectFaces) -> None:
    photo = {"image": column([one_jpeg()])}
    sent = DetectFaces(ModelFile.read("v2"))
    np.testing.assert_array_equal(sent(photo)["boxes"][0], detect(photo)["boxes"][0])


def test_shards_are_decoded_in_order_and_end_with_their_count(tmp_path: Path) -> None:
    for i in range(3):
        (tmp_path / f"{i}.jpg").write_bytes(one_jpeg(64) if i != 1 else BROKEN)
    batches = list(decode_shards(shard_batch(tmp_path, size=2)))
    rows = [(s, i, e) for b in batches for s, i, e in zip(b["shard"], b["index"], b["end"], strict=True)]
    assert rows == [(0, 0, False), (0, 1, False), (0, 2, True), (1, 0, False), (1, 1, True)]
    errors = [error for batch in batches for error in batch["error"]]
    assert [bool(error) for error in errors] == [False, True, False, False, False]


def test_heic_and_raw_photos_are_rows_that_say_what_they_are(tmp_path: Path) -> None:
    found = [
        ("IMG_1.HEIC", b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic"),  # its first bytes alone
        (
            "DSC_1.NEF",
            encoded(noise(60, 90), suffix=".tif"),
        ),  # as a reader of TIFF sees it
    ]
    write_tar(tmp_path / "a.tar", found)
    for name, content in found:
        (tmp_path / name).write_bytes(content)
    rows = {
        Path(uri.partition("#")[2] or uri).name: (len(image), error)
        for batch in decode_shards(shard_batch(tmp_path))
        for uri, image, error in zip(batch["uri"], batch["image"], batch["error"], strict=True)
        if uri
    }
    assert rows.keys() == {"IMG_1.HEIC", "DSC_1.NEF"}
    assert rows["IMG_1.HEIC"][1]  # a HEIC photo, or where they are read a damaged one
    assert "looks like a raw photo" in rows["DSC_1.NEF"][1]
    kinds = [shard.kind for shard in find_shards([tmp_path])]
    assert sorted(kinds) == ["photos", "tar"]


def test_a_shard_without_photos_still_ends(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", [("readme.md", b"x")])
    (batch,) = decode_shards(shard_batch(tmp_path))
    assert (batch["index"].tolist(), batch["end"].tolist()) == ([0], [True])


def test_decoded_photos_leave_in_small_batches(tmp_path: Path) -> None:
    large = encoded(noise(900, 900))  # 2.4 MB decoded
    write_tar(tmp_path / "a.tar", [(f"{i}.jpg", large) for i in range(5)])
    sizes = [len(batch["image"]) for batch in decode_shards(shard_batch(tmp_path))]
    assert sizes == [2, 2, 1, 1]  # and the row that ends the shard


def test_hidden_faces_are_gone_and_the_rest_of_the_photo_stays(detect: DetectFaces, tmp_path: Path) -> None:
    photo = encoded(cv2.resize(read_image(EXAMPLES / "astronaut.jpg"), (256, 256)), suffix=".png")
    write_tar(tmp_path / "a.tar", [("a.png", photo), ("b.gif", BROKEN)])
    keep = DetectFaces("v2", keep_image=True)
    (found, _) = (keep(batch) for batch in decode_shards(shard_batch(tmp_path)))
    hidden = HideFaces("solid")(found)
    assert "image" not in hidden
    assert hidden["name"].tolist() == ["a.png", "b.gif.jpg"]
    assert hidden["photo"][1] == b""
    before, after = read_image(photo), read_image(hidden["photo"][0])
    x1, y1, x2, y2 = found["boxes"][0][0].astype(int)
    assert after[(y1 + y2) // 2, (x1 + x2) // 2].tolist() == [0, 0, 0]
    np.testing.assert_array_equal(after[:10], before[:10])


def test_a_photo_too_large_for_its_format_is_a_row_with_an_error() -> None:
    row = {
        "image": column([np.zeros((1, 70000, 3), np.uint8)]),
        "name": column(["a.jpg"]),
        "error": column([""]),
        "boxes": column([np.zeros((0, 4), np.float32)]),
        "scores": column([np.zeros(0, np.float32)]),
        "landmarks": column([np.zeros((0, 10), np.float32)]),
    }
    hidden = HideFaces("blur")(row)
    assert hidden["photo"][0] == b""
    assert "cannot be written as JPG" in hidden["error"][0]


def test_an_unknown_way_of_hiding_is_an_error() -> None:
    with pytest.raises(ConfigError, match="hides no faces"):
        HideFaces("smear")  # type: ignore[arg-type]
