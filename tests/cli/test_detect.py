from __future__ import annotations

import csv
import io
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from ffcli.app import run
from ffcore.images import embedded_profile, read_image
from ffcore.images.video import VideoReader
from ffcore.images.video_writer import VideoWriter

ROOT = Path(__file__).parent.parent.parent
EXPECTED = {"astronaut.jpg": 1, "cat.jpg": 0, "grace_hopper.jpg": 1, "group.jpg": 18}


def detect(*arguments: object) -> int:
    return run(["detect", *map(str, arguments)])


@pytest.mark.reference
@pytest.mark.parametrize("name", ["v1", "v1_original", "v2_ca"])
def test_public_weights_find_every_face_of_the_examples_and_no_other(
    name: str, reference: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = reference / "weights" / f"{name}_public.pth"
    assert detect(ROOT / "examples" / "photos", "--model", weights, "--json") == 0
    found = {Path(entry["image"]).name: entry["faces"] for entry in json.loads(capsys.readouterr().out)}
    assert {image: len(faces) for image, faces in found.items()} == EXPECTED
    left, top, right, bottom = found["grace_hopper.jpg"][0]["box"]
    assert (left, top, right, bottom) == pytest.approx((176, 116, 353, 332), abs=12)
    points = found["grace_hopper.jpg"][0]["landmarks"]
    assert left < points["left_eye"][0] < points["right_eye"][0] < right
    assert points["left_eye"][1] < points["nose"][1] < points["left_mouth"][1]


def test_json_is_one_document_with_the_faces_of_each_photo(
    photos: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert detect(photos, "--model", weights, "--json", "--max-faces", "3", "--score", "0") == 0
    records = json.loads(capsys.readouterr().out)
    assert [Path(record["image"]).name for record in records] == ["astronaut.jpg", "cat [1].jpg"]
    assert [(record["width"], record["height"]) for record in records] == [(512, 512), (451, 300)]
    for record in records:
        assert len(record["faces"]) == 3
        assert set(record["faces"][0]) == {"box", "score", "landmarks"}
        assert len(record["faces"][0]["landmarks"]) == 5


def test_each_format_reads_back(photos: Path, weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = (photos, "--model", weights, "--max-faces", "2", "--score", "0")
    assert detect(*common, "--jsonl") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [len(record["faces"]) for record in lines] == [2, 2]
    assert detect(*common, "--csv") == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == 4
    assert detect(*common, "--coco") == 0
    document = json.loads(capsys.readouterr().out)
    assert (len(document["images"]), len(document["annotations"])) == (2, 4)


def test_without_a_format_a_pipe_gets_one_plain_line_a_photo(
    photos: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert detect(photos / "astronaut.jpg", "--model", weights, "--score", "1") == 0
    captured = capsys.readouterr()
    assert captured.out == f"{photos / 'astronaut.jpg'}\t512×512\t0\n"
    assert "\x1b" not in captured.out + captured.err


def test_two_formats_at_once_are_refused(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert detect("x.jpg", "--model", weights, "--json", "--csv") == 2
    assert "--json and --csv would both be printed" in capsys.readouterr().err


def test_copies_crops_and_widerface_files_are_written(photos: Path, weights: Path, tmp_path: Path) -> None:
    out, crops, text = tmp_path / "out", tmp_path / "crops", tmp_path / "text"
    options = ("--max-faces", "2", "--score", "0", "--out", out, "--crops", crops, "--widerface", text)
    assert detect(photos, "--model", weights, *options) == 0
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*.jpg")) == [
        "astronaut.jpg",
        str(Path("älter") / "cat [1].jpg"),
    ]
    assert read_image(out / "astronaut.jpg").shape == (512, 512, 3)
    assert len(list(crops.rglob("*.png"))) == 4
    assert read_image(crops / "astronaut-000.png").shape == (112, 112, 3)
    lines = (text / "älter" / "cat [1].txt").read_text(encoding="utf-8").splitlines()
    assert lines[:2] == ["cat [1]", "2"]
    assert (text / "my photos" / "astronaut.txt").exists()


def test_copies_and_crops_are_shown_in_the_colours_of_their_photo(
    photos: Path, weights: Path, tmp_path: Path
) -> None:
    photo, out, crops = photos / "astronaut.jpg", tmp_path / "out", tmp_path / "crops"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    with Image.open(photo) as image:
        image.save(photo, icc_profile=profile)
    options = ("--max-faces", "1", "--score", "0", "--out", out, "--crops", crops, "--anonymize", "solid")
    assert detect(photos, "--model", weights, *options) == 0
    assert embedded_profile(out / "astronaut.jpg") == profile
    assert embedded_profile(crops / "astronaut-000.png") == profile
    assert embedded_profile(out / "älter" / "cat [1].jpg") is None


def test_out_can_name_a_file_for_a_single_photo(photos: Path, weights: Path, tmp_path: Path) -> None:
    target = tmp_path / "drawn.png"
    assert detect(photos / "astronaut.jpg", "--model", weights, "--out", target) == 0
    assert read_image(target).shape == (512, 512, 3)
    assert detect(photos, "--model", weights, "--out", target) == 2


@pytest.mark.parametrize("name", ["new.gif", "x.txt", "a.xyz", "v.mp4", "a.jpgg"])
def test_a_copy_of_one_photo_is_not_put_into_a_folder_that_looks_like_a_file(
    name: str, photos: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / name
    assert detect(photos / "astronaut.jpg", "--model", weights, "--quiet", "--out", out) == 2
    assert capsys.readouterr().err == (
        f"featherface: {out}: photos are not written with the suffix {out.suffix!r}; use one of .jpg, .jpeg, "
        ".png, .webp, .avif, .tif, .tiff, .bmp, or end the name with / for a folder\n"
    )
    assert not out.exists()


@pytest.mark.parametrize("name", ["v.gif", "x.jpg"])
def test_a_copy_of_one_video_is_not_put_into_a_folder_that_looks_like_a_file(
    name: str, film: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert detect(film, "--model", weights, "--quiet", "--out", tmp_path / name) == 2
    assert "videos are not written with the suffix" in capsys.readouterr().err
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("name", ["new.gif/", "faces.jpg/", "faces-v2.1", "2024.12", "there.txt", "plain"])
def test_folders_for_copies_may_have_any_name(name: str, photos: Path, weights: Path, tmp_path: Path) -> None:
    (tmp_path / "there.txt").mkdir()
    assert detect(photos / "astronaut.jpg", "--model", weights, "--out", f"{tmp_path}/{name}") == 0
    assert (tmp_path / name / "astronaut.jpg").is_file()


def test_a_folder_of_one_photo_is_copied_as_one_of_many(photos: Path, weights: Path, tmp_path: Path) -> None:
    assert detect(photos / "älter", "--model", weights, "--out", tmp_path / "out.faces") == 0
    assert (tmp_path / "out.faces" / "cat [1].jpg").is_file()


def test_the_input_is_never_overwritten(
    photos: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (photos / "astronaut.jpg").read_bytes()
    assert detect(photos, "--model", weights, "--out", photos) == 3
    assert "would overwrite the input" in capsys.readouterr().err
    assert (photos / "astronaut.jpg").read_bytes() == before


def test_hiding_faces_needs_a_place_for_the_copies(
    photos: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert detect(photos, "--model", weights, "--anonymize", "blur") == 2
    error = capsys.readouterr().err
    assert "--anonymize needs a place for the changed copies: give --out, a folder or a file" in error


@pytest.mark.parametrize("end", ["\n\n", "\r\n", "\0"])
def test_names_come_from_stdin(
    end: str, photos: Path, weights: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = (photos / "astronaut.jpg", photos / "älter" / "cat [1].jpg")
    listing = "".join(f"{name}{end}" for name in names).encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(listing)))
    assert detect("-", "--model", weights, "--jsonl", "--score", "1") == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_a_photo_on_stdin_is_told_from_a_list_of_names(
    photos: Path, weights: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = (photos / "astronaut.jpg").read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(photo)))
    assert detect("-", "--model", weights, "--jsonl") == 3
    captured = capsys.readouterr()
    message = "stdin holds no names of photos but what looks like a JPEG image; name the file itself instead"
    assert (captured.out, captured.err) == ("", f"featherface: {message}\n")


def broken_files(folder: Path) -> dict[str, str]:
    """Files that cannot be read, each with a word that its error must say."""
    jpeg = (ROOT / "examples" / "photos" / "astronaut.jpg").read_bytes()
    bomb = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(bomb, "PNG")
    contents = {
        "truncated.jpg": (jpeg[: len(jpeg) // 2], "truncated"),
        "empty.png": (b"", "empty"),
        "page.jpg": (b"<!DOCTYPE html><html></html>", "HTML"),
        "notes.webp": (b"not an image at all\n", "text"),
        "bomb.png": (bomb.getvalue(), "megapixel"),
        "IMG_1.HEIC": (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", "IMG_1.HEIC"),
        "DSC_1.dng": (b"II*\x00\x08\x00\x00\x00", "raw photo; convert it to JPEG"),
        "noise.jpg": (np.random.default_rng(0).bytes(500), "image"),
    }
    for name, (content, _) in contents.items():
        (folder / name).write_bytes(content)
    return {name: word for name, (_, word) in contents.items()}


def test_broken_files_are_named_while_the_others_go_on(
    photos: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = broken_files(photos)
    assert detect(photos, "--model", weights, "--jsonl", "--score", "1", "--out", tmp_path / "out") == 3
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 2
    for name, word in words.items():
        lines = [line for line in captured.err.splitlines() if name in line]
        assert len(lines) == 1, captured.err
        assert word.lower() in lines[0].lower()
    assert (tmp_path / "out" / "astronaut.jpg").exists()


def test_a_name_that_leads_nowhere_is_told_and_the_others_go_on(
    photos: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert detect("nowhere.jpg", photos / "astronaut.jpg", "--model", weights, "--jsonl") == 3
    captured = capsys.readouterr()
    assert "nowhere.jpg: does not exist" in captured.err
    assert len(captured.out.splitlines()) == 1


def onnx_of_another_network() -> bytes:
    from onnx import TensorProto, helper

    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])
    same = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, 8, 8])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [value], [same])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


class Malicious:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch executed",)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("page.pth", b"<!DOCTYPE html><html></html>"),
        ("empty.pth", b""),
        ("empty.onnx", b""),
        ("other.onnx", onnx_of_another_network()),
        ("cut.onnx", onnx_of_another_network()[:40]),
        ("cut.safetensors", (5000).to_bytes(8, "little") + b'{"a":'),
        ("code.pth", pickle.dumps(Malicious())),
    ],
)
def test_a_wrong_model_is_one_line_that_says_what_it_is(
    name: str, content: bytes, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_bytes(content)
    assert detect(photos, "--model", tmp_path / name) == 4
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"featherface: {tmp_path / name}: ")
    assert captured.err.count("\n") == 1
    assert not Path("executed").exists()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("v1", "no weights of 'v1' come with this version"),
        ("v3", "neither a file nor the name of a network"),
        ("missing/v1.pth", "no such file"),
    ],
)
def test_a_model_that_is_not_there_is_told(
    model: str, message: str, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert detect(photos, "--model", model) == 4
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--score", "2"], "--score"),
        (["--size", "0"], "is no size"),
        (["--tile", "5"], "tile = 5"),
        (["--device", "abacus"], "abacus"),
        (["--anonymize", "mosaic"], "mosaic"),
        (["--frobnicate"], "--frobnicate"),
        (["--workers", "3"], "--workers is for --engine ray"),
        (["--address", "auto"], "--address is for --engine ray"),
        (["--gpus-per-actor", "0.5"], "--gpus-per-actor is for --engine ray"),
        (["--max-errors", "0"], "--max-errors is for --engine ray"),
        (["--shard-size", "10"], "--shard-size is for --engine ray"),
        (["--image-column", "jpg"], "--image-column is for --engine ray"),
    ],
)
def test_wrong_options_exit_with_2(
    options: list[str], message: str, photos: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert detect(photos, "--model", weights, *options) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.mp4"
    photo = cv2.resize(read_image(ROOT / "examples" / "photos" / "astronaut.jpg"), (160, 160))
    with VideoWriter(path, fps=10, size=(160, 160)) as video:
        for shift in range(6):
            video.write(np.roll(photo, shift * 4, axis=1))
    return path


def test_a_video_gives_a_record_a_frame_and_a_changed_copy(
    film: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--anonymize", "solid", "--out", tmp_path / "hidden", "--score", "0", "--max-faces", "1")
    assert detect(film, "--model", weights, "--jsonl", *options) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [record["frame"] for record in records] == [0, 1, 2, 3, 4, 5]
    assert records[3]["time"] == pytest.approx(0.3, abs=0.02)
    with VideoReader(tmp_path / "hidden" / "film.mp4") as video:
        assert len(list(video)) == 6


@pytest.mark.reference
def test_the_faces_of_a_video_are_really_hidden(
    film: Path, reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = reference / "weights" / "v1_public.pth"
    hidden = tmp_path / "hidden.mp4"
    assert detect(film, "--model", weights, "--anonymize", "solid", "--out", hidden, "--jsonl") == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    with VideoReader(film) as before, VideoReader(hidden) as after:
        for record, seen, covered in zip(records, before, after, strict=True):
            (face,) = record["faces"]
            left, top, right, bottom = (round(value) for value in face["box"])
            inside = slice(top, bottom), slice((3 * left + right) // 4, (left + 3 * right) // 4)
            assert seen[inside].mean() > 80
            assert covered[inside].mean() < 30


def test_frames_can_be_limited(film: Path, weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert detect(film, "--model", weights, "--jsonl", "--max-frames", "2") == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="a process there gets no SIGINT of its own")
def test_an_interruption_exits_with_130_and_one_line(photos: Path, weights: Path) -> None:
    for i in range(400):
        os.link(photos / "astronaut.jpg", photos / f"copy{i}.jpg")
    command = [sys.executable, "-m", "ffcli", "detect", str(photos), "--model", str(weights), "--jsonl"]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    process.stdout.readline()  # it is at work now
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in error
    assert "Traceback" not in error


def test_a_reader_that_leaves_early_is_no_error(photos: Path, weights: Path) -> None:
    for i in range(100):
        os.link(photos / "astronaut.jpg", photos / f"copy{i}.jpg")
    options = f'--model "{weights}" --jsonl -q --score 0'
    script = f'"{sys.executable}" -m ffcli detect "{photos}" {options} | head -1'
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {script}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.returncode == 0


def test_what_really_computes_is_reported(
    photos: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert detect(photos, "--model", weights, "--device", "cpu", "--threads", "1", "--jsonl") == 0
    assert "v2 on cpu with torch\n" in capsys.readouterr().err


def test_quiet_leaves_only_results(photos: Path, weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert detect(photos, "--model", weights, "--jsonl", "--quiet") == 0
    assert capsys.readouterr().err == ""


def test_a_photo_that_is_shrunk_says_so(
    photos: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert detect(photos / "astronaut.jpg", "--model", weights, "--max-side", "256", "--jsonl") == 0
    assert "512×512 was searched at 256×256" in capsys.readouterr().err


def test_no_input_is_overwritten_by_the_copy_of_another(
    photos: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    below = photos / "below"
    below.mkdir()
    shutil.copy(photos / "älter" / "cat [1].jpg", below / "astronaut.jpg")
    before = (below / "astronaut.jpg").read_bytes()
    assert detect(photos, "--model", weights, "--out", below) == 3
    assert "would overwrite the input" in capsys.readouterr().err
    assert (below / "astronaut.jpg").read_bytes() == before


def test_no_input_is_overwritten_by_a_crop(photos: Path, weights: Path) -> None:
    shutil.copy(photos / "astronaut.jpg", photos / "astronaut-000.png")
    before = (photos / "astronaut-000.png").read_bytes()
    options = ("--score", "0", "--max-faces", "1", "--crops", photos)
    assert detect(photos, "--model", weights, *options) == 3
    assert (photos / "astronaut-000.png").read_bytes() == before


def test_two_photos_never_share_a_widerface_file(
    photos: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = Image.open(photos / "astronaut.jpg")
    image.save(photos / "astronaut.png")
    assert detect(photos, "--model", weights, "--widerface", tmp_path / "text") == 3
    error = capsys.readouterr().err
    assert "astronaut.png" in error
    assert "would replace that of" in error


def test_links_to_one_photo_have_records_copies_and_result_files_of_their_own(
    photos: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    links = tmp_path / "links"
    links.mkdir()
    try:
        for name in ("a.jpg", "b.jpg"):
            (links / name).symlink_to(photos / "astronaut.jpg")
    except OSError:
        pytest.skip("links cannot be made here")
    options = ("--out", tmp_path / "out", "--widerface", tmp_path / "text", "--jsonl", "--score", "1")
    assert detect(links, "--model", weights, *options) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [record["image"] for record in records] == [str(links / name) for name in ("a.jpg", "b.jpg")]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.jpg", "b.jpg"]
    assert sorted(path.name for path in (tmp_path / "text" / "links").iterdir()) == ["a.txt", "b.txt"]


def test_a_place_for_one_file_does_not_hide_that_the_source_is_missing(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert detect("nowhere.jpg", "--model", weights, "--out", tmp_path / "x.jpg") == 3
    assert "nowhere.jpg: does not exist" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        (("--max-side", "64"), "a larger --max-side, or --tile,"),
        (("--size", "64"), "a larger --size, or --tile,"),
        (("--size", "64", "--tile", "640"), "a larger --size, or a smaller --tile,"),
    ],
)
def test_shrinking_is_told_for_photos_and_once_a_video_with_what_helps(
    options: tuple[str, ...],
    hint: str,
    film: Path,
    photos: Path,
    weights: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert detect(film, photos / "astronaut.jpg", "--model", weights, "--score", "1", *options) == 0
    error = capsys.readouterr().err
    assert error.count(f"160×160 was searched at 64×64; {hint} looks closer") == 1
    assert error.count(f"512×512 was searched at 64×64; {hint} looks closer") == 1
