from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import get_type_hints

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ffcore.detection import DetectorFacts, DetectorOptions, FaceDetector
from ffcore.detection.detector import BATCH_PIXELS, DetectorSettings, _without_pieces
from ffcore.errors import CheckpointError, ConfigError, ImageError, ModelError, UnknownModelError
from ffcore.faces import Faces
from tests.detection.toys import ToyBackend, photo, toy_onnx


def detector(backend: ToyBackend | None = None, **options: object) -> FaceDetector:
    return FaceDetector(backend or ToyBackend(), DetectorOptions(**options))  # type: ignore[arg-type]


def centres(faces: Faces) -> list[tuple[float, float]]:
    return sorted((float(b[0] + b[2]) / 2, float(b[1] + b[3]) / 2) for b in faces.boxes)


def test_a_bright_cell_is_found_where_it_is() -> None:
    faces = detector()(photo(64, 96, (24, 16, 8)))
    assert np.allclose(faces.boxes, [[20, 12, 36, 28]])
    assert np.allclose(faces.landmarks, 20 + np.zeros((1, 5, 2)) + [8, 0])


def test_a_shrunk_photo_gives_boxes_in_photo_pixels() -> None:
    found = detector(max_side=320).detect(photo(480, 640, (96, 64, 16)))
    assert np.allclose(found.faces.boxes, [[88, 56, 120, 88]])
    assert (found.seen_width, found.seen_height, found.width, found.height) == (320, 240, 640, 480)
    assert found.shrunk


def test_the_ways_to_give_a_photo_agree(tmp_path: Path) -> None:
    array = photo(64, 96, (24, 16, 8))
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), array)
    ways = [array, path, str(path), path.read_bytes(), Image.fromarray(array[..., ::-1])]
    found = [detector()(way) for way in ways]
    assert all(faces == found[0] for faces in found)
    assert len(found[0]) == 1


def test_photos_of_equal_size_run_as_one_batch_in_their_order() -> None:
    backend = ToyBackend()
    photos = [photo(64, 96, (8 * i, 16, 8)) for i in range(5)]
    found = detector(backend)(photos)
    assert backend.batches == [(5, 64, 96)]
    assert [centres(faces)[0][0] for faces in found] == [4, 12, 20, 28, 36]


def test_photos_that_fill_up_to_the_same_size_share_a_batch() -> None:
    backend = ToyBackend()
    detector(backend)([photo(60, 90), photo(64, 96), photo(33, 70)])
    assert backend.batches == [(3, 64, 96)]


def test_a_batch_is_never_larger_than_asked() -> None:
    backend = ToyBackend()
    detector(backend, batch=2)([photo(64, 64)] * 5)
    assert [batch[0] for batch in backend.batches] == [2, 2, 1]


def test_large_photos_run_one_by_one() -> None:
    backend = ToyBackend()
    detector(backend, close_ups=False)([photo(1024, 2048)] * 3)
    assert BATCH_PIXELS < 1024 * 2048 * 2
    assert [batch[0] for batch in backend.batches] == [1, 1, 1]


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from([64, 96, 128]), st.integers(0, 7)), max_size=12), st.integers(1, 4))
def test_mixed_sizes_give_each_photo_its_own_faces_in_order(some: list[tuple[int, int]], batch: int) -> None:
    photos = [photo(64, width, (8 * column, 16, 8)) for width, column in some]
    found = detector(batch=batch)(photos)
    assert found == [detector()(one) for one in photos]
    assert [centres(faces) for faces in found] == [[(8.0 * column + 4, 20.0)] for _, column in some]


def test_a_stream_reads_only_a_few_photos_ahead() -> None:
    read = 0

    def source():
        nonlocal read
        for i in range(40):
            read += 1
            yield photo(64, 64 + 32 * (i % 7))

    stream = detector(batch=4).stream(source())
    next(stream)
    assert read <= 8
    assert sum(1 for _ in stream) == 39


def test_no_photos_give_no_results_and_a_dark_photo_no_faces() -> None:
    assert detector()([]) == []
    assert detector()(photo(64, 64)) == Faces.empty()


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1), (7, 3000)])
@pytest.mark.parametrize("options", [{}, {"tile": 640}, {"size": 320}, {"max_side": 64}])
def test_the_oddest_photos_are_looked_at(shape: tuple[int, int], options: dict) -> None:
    assert detector(**options)(photo(*shape)) == Faces.empty()


def test_a_cell_in_the_overlap_of_tiles_is_found_once_and_in_place() -> None:
    cells = [(x, 320, 8) for x in range(0, 1664, 96)]
    big = photo(640, 1664, *cells)  # tiles start at multiples of 128, so cells fall on the grid
    backend = ToyBackend()
    found = detector(backend, tile=512).detect(big)
    assert centres(found.faces) == [(x + 4.0, 324.0) for x, *_ in cells]
    assert not found.shrunk
    assert found.views == 9  # 4 by 2 tiles and the whole
    assert max(height * width for _, height, width in backend.batches) == 512 * 512


def test_a_face_larger_than_the_overlap_comes_from_the_whole_photo() -> None:
    # A cell of stride 32 in the whole photo, which is shrunk to a third: an anchor of 256 pixels.
    big = photo(1536, 1536, (576, 576, 96))
    with_tiles = detector(tile=512)(big)
    tallest = with_tiles[np.argmax(with_tiles.sizes[:, 1])]
    assert np.allclose(tallest.boxes, [[624 - 384, 624 - 384, 624 + 384, 624 + 384]])


def test_a_second_look_adds_only_what_is_larger_than_the_largest_anchor() -> None:
    # 1920 pixels are seen at a quarter: cells of 32 are 128 pixels there, their anchor 1024.
    big = photo(1920, 1920, (512, 512, 128))
    once, twice = detector(close_ups=False)(big), detector()(big)
    assert once.sizes.max() <= 512
    assert twice.sizes.max() == pytest.approx(1024)
    added = {tuple(b) for b in twice.boxes.tolist()} - {tuple(b) for b in once.boxes.tolist()}
    assert all(box[3] - box[1] >= 512 for box in added)


def test_a_network_of_fixed_input_gets_every_photo_fitted() -> None:
    backend = ToyBackend(input_size=(128, 128))
    found = detector(backend)([photo(256, 512, (64, 32, 32)), photo(40, 64)])
    assert backend.batches == [(2, 128, 128)]
    assert np.allclose(found[0].boxes, [[48, 16, 112, 80]])


def test_another_size_than_the_network_takes_is_an_error() -> None:
    with pytest.raises(ConfigError, match="128 x 128"):
        detector(ToyBackend(input_size=(128, 128)), size=320)
    detector(ToyBackend(input_size=(128, 128)), size=128)


def test_boxes_reach_beyond_the_photo_unless_clipped() -> None:
    corner = photo(64, 64, (0, 0, 8))
    assert detector()(corner).boxes.tolist() == [[-4, -4, 12, 12]]
    assert detector(clip=True)(corner).boxes.tolist() == [[0, 0, 12, 12]]


def test_at_most_max_faces_are_reported() -> None:
    cells = [(x, 32, 8) for x in range(0, 512, 32)]
    assert len(detector(max_faces=5)(photo(64, 512, *cells))) == 5
    assert len(detector()(photo(64, 512, *cells))) == 16


def test_thresholds_of_the_file_hold_unless_others_are_given(tmp_path: Path) -> None:
    facts = DetectorFacts(score_threshold=0.31, nms_threshold=0.22)
    path = toy_onnx(tmp_path / "toy.onnx", metadata=facts.to_metadata())
    assert FaceDetector(ToyBackend(facts=facts)).options.score == 0.31
    given_one = FaceDetector.load(path, score=0.6)
    assert (given_one.options.score, given_one.options.nms) == (0.6, 0.22)


def test_threads_share_a_detector(tmp_path: Path) -> None:
    shared = FaceDetector.load(toy_onnx(tmp_path / "toy.onnx"), threads=1)
    photos = [photo(64, 64 + 32 * (i % 3), (8 * (i % 8), 16, 8)) for i in range(48)]
    expected = [shared(one) for one in photos]
    start = threading.Barrier(4)

    def work(offset: int) -> list[Faces]:
        start.wait()
        return [shared(one) for one in photos[offset::4]]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(work, range(4)))
    for offset in range(4):
        assert found[offset] == expected[offset::4]


def test_a_photo_that_cannot_be_read_is_an_image_error(tmp_path: Path) -> None:
    with pytest.raises(ImageError):
        detector()(tmp_path / "none.jpg")


@pytest.mark.parametrize("name", ["v1", "v1-original", "v2-ca"])
def test_a_name_without_weights_says_so(name: str) -> None:
    with pytest.raises(UnknownModelError, match="no weights of"):
        FaceDetector.load(name)


def test_an_unknown_name_lists_the_near_ones() -> None:
    with pytest.raises(UnknownModelError, match=r"did you mean .*'v1-original'"):
        FaceDetector.load("v1-orignal")


@pytest.mark.parametrize("name", ["none.onnx", "folder/none", Path("v1")])
def test_a_missing_file_is_not_taken_for_a_name(name: str | Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        FaceDetector.load(name)


def test_a_folder_or_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="folder"):
        FaceDetector.load(tmp_path)
    page = tmp_path / "weights.bin"
    page.write_text("<html>404</html>")
    with pytest.raises(CheckpointError, match="HTML"):
        FaceDetector.load(page)


def test_an_onnx_file_is_known_by_its_content_too(tmp_path: Path) -> None:
    path = toy_onnx(tmp_path / "toy.model")
    assert FaceDetector.load(path).backend.name == "onnxruntime"
    with pytest.raises(ConfigError, match="torch cannot run"):
        FaceDetector.load(path, backend="torch")
    with pytest.raises(ConfigError, match="choose one of"):
        FaceDetector.load(path, backend="tensorrt")  # type: ignore[arg-type]


def test_keyword_settings_are_the_fields_of_the_options() -> None:
    fields, settings_ = get_type_hints(DetectorOptions), get_type_hints(DetectorSettings)
    assert fields == settings_


@pytest.mark.parametrize(
    "change",
    [
        *({"score": 1.5}, {"score": -0.1}, {"score": "0.5"}, {"score": float("nan")}, {"nms": True}),
        *({"max_faces": 0}, {"batch": 1.5}, {"max_side": 0}, {"tile": 10}, {"size": 0}),
        *({"size": (640,)}, {"size": (640, -1)}, {"candidates": None}),
        *({"size": 100_000}, {"size": (64, 2_000_000)}, {"tile": 10_000}),  # more than any machine holds
    ],
)
def test_impossible_options_are_errors_that_name_the_field(change: dict) -> None:
    with pytest.raises(ConfigError, match=next(iter(change))):
        DetectorOptions(**change)


def test_several_scales_and_the_mirror_image_find_each_face_once() -> None:
    backend = ToyBackend()
    options = {"short_sides": (64, 128), "max_side": None, "mirror": True, "merge": "vote", "batch": 1}
    found = detector(backend, **options).detect(photo(64, 96, (24, 16, 16)))
    assert found.views == 4
    assert backend.batches == [(1, 64, 96), (1, 128, 192)] * 2
    wanted = detector()(photo(64, 96, (24, 16, 16)))
    assert centres(found.faces)[0] == pytest.approx(centres(wanted)[0], abs=4)


def test_the_shorter_side_is_limited_by_the_longer() -> None:
    found = detector(short_sides=(480,), max_side=640).detect(photo(300, 1200))
    assert (found.seen_height, found.seen_width) == (160, 640)


def test_a_model_whose_name_is_too_long_is_an_error() -> None:
    with pytest.raises(CheckpointError, match="cannot be read: File name too long"):
        FaceDetector.load("x" * 5000)


def test_a_model_in_a_locked_folder_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_file", refuse)  # chmod does not stop a test that runs as root
    with pytest.raises(CheckpointError, match=r"locked/v1\.onnx: cannot be read: Permission denied"):
        FaceDetector.load("locked/v1.onnx")


@pytest.mark.parametrize(("large", "left"), [(0.9, 1), (0.3, 2)])
def test_a_box_inside_a_large_face_is_a_piece_of_it_unless_that_is_doubtful(large: float, left: int) -> None:
    points = np.zeros((2, 5, 2))
    close = Faces(boxes=[[10, 10, 30, 30], [90, 90, 130, 130]], scores=[1, 1], landmarks=points)
    whole = Faces(boxes=[[0, 0, 100, 100]], scores=[large], landmarks=points[:1])
    kept = _without_pieces(close, whole)
    assert len(kept) == left
    assert [90, 90, 130, 130] in kept.boxes.tolist()


def test_a_network_that_says_no_numbers_is_named(tmp_path: Path) -> None:
    import torch

    from ffcore.models.variants import VARIANTS
    from ffcore.models.weights import save_network
    from tests.models.random_weights import random_network

    network = random_network(VARIANTS["v2"])
    with torch.no_grad():
        next(network.heads.parameters()).mul_(1e30)  # as one turned bit of an exponent does
    save_network(network, tmp_path / "broken.pth")
    with pytest.raises(ModelError, match=r"broken\.pth: the network gave .* not"):
        FaceDetector.load(tmp_path / "broken.pth", device="cpu", score=0)(photo(64, 64, (8, 8, 16)))
