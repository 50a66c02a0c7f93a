from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ffcore.errors import InputError
from ffcore.images import Source, find_sources
from ffcore.images.encode import encode_image
from ffcore.images.sources import listed_names


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (
        *("a/x.jpg", "a/b/x.JPG", "a/b/c/film.mp4", "a/notes.txt", "a/.hidden.jpg", "a/.git/y.jpg"),
        *("other/x.jpg", "empty/readme.md", "[odd] name.jpg", "strange.dat"),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def relatives(sources: list[Source]) -> list[str]:
    return [source.relative.as_posix() for source in sources]


def test_a_folder_stands_for_its_images_and_videos_in_order(tree: Path) -> None:
    sources, problems = find_sources(["a"])
    assert problems == []
    assert relatives(sources) == ["x.jpg", "b/x.JPG", "b/c/film.mp4"]
    assert [source.kind for source in sources] == ["image", "image", "video"]
    assert [source.name for source in sources] == [str(source.path) for source in sources]


def test_without_recursion_folders_below_are_left_out(tree: Path) -> None:
    assert relatives(find_sources(["a"], recursive=False)[0]) == ["x.jpg"]


def test_photos_that_cannot_be_read_are_met_in_folders_and_patterns(tree: Path) -> None:
    for name in ("phone/IMG_1.HEIC", "phone/raw/DSC_1.nef"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    for name in ("phone", "phone/**/*", "phon*"):
        sources, problems = find_sources([name])
        assert {source.name for source in sources} == {
            str(Path("phone/IMG_1.HEIC")),
            str(Path("phone/raw/DSC_1.nef")),
        }
        assert {source.kind for source in sources} == {"image"}
        assert problems == []


@pytest.mark.parametrize("name", ["20240131", "9" * 5000])
def test_a_number_that_no_camera_has_is_a_file_that_is_not_there(name: str, tree: Path) -> None:
    sources, problems = find_sources([name])
    assert not sources
    assert len(problems) == 1


def test_a_number_is_a_camera_unless_a_file_has_that_name(tree: Path) -> None:
    (source,), problems = find_sources(["0"])
    assert (source.kind, source.camera, source.path, source.name) == ("camera", 0, None, "camera 0")
    assert problems == []
    Path("0").write_bytes(b"")
    (source,), problems = find_sources(["0"])
    assert (source.kind, source.camera, source.path) == ("image", None, Path("0"))


def test_a_file_named_on_purpose_is_an_image_whatever_its_suffix(tree: Path) -> None:
    (source,), problems = find_sources([tree / "strange.dat"])
    assert source.kind == "image"
    assert problems == []


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("a/*.jpg", ["x.jpg"]),
        ("*/x.jpg", ["a/x.jpg", "other/x.jpg"]),
        ("a/**/*.[jJ]*", ["b/x.JPG", "x.jpg"]),
        ("**/film.*", ["a/b/c/film.mp4"]),
        ("a/?", ["b/x.JPG", "b/c/film.mp4"]),  # matches a folder, which is then searched
    ],
)
def test_patterns(tree: Path, pattern: str, expected: list[str]) -> None:
    sources, problems = find_sources([pattern])
    assert relatives(sources) == expected
    assert problems == []
    absolute, _ = find_sources([str(tree / pattern)])
    assert relatives(absolute) == expected


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tree: Path) -> None:
    (source,), _ = find_sources(["[odd] name.jpg"])
    assert source.path == Path("[odd] name.jpg")


def test_duplicates_are_removed_and_the_order_is_kept(tree: Path) -> None:
    sources, _ = find_sources(["other/x.jpg", "a", "a/x.jpg", str(tree / "other" / "x.jpg"), "0", "0"])
    assert [source.name for source in sources] == [
        str(Path("other/x.jpg")),
        *(str(Path("a") / each) for each in ("x.jpg", "b/x.JPG", "b/c/film.mp4")),
        "camera 0",
    ]


def test_results_of_files_with_the_same_name_do_not_collide(tree: Path) -> None:
    sources, _ = find_sources(["a/x.jpg", "other/x.jpg", "a/b/x.JPG"])
    places = [place.casefold() for place in relatives(sources)]
    assert len(set(places)) == 3
    assert places[:2] == ["a/x.jpg", "other/x.jpg"]
    sources, _ = find_sources(["a", "other"])
    assert sorted(relatives(sources)) == ["a/x.jpg", "b/c/film.mp4", "b/x.JPG", "other/x.jpg"]


def test_names_that_differ_in_case_only_do_not_collide(tree: Path) -> None:
    try:
        Path("a/X.JPG").touch(exist_ok=False)
    except FileExistsError:
        pytest.skip("this file system does not tell cases apart")
    sources, _ = find_sources(["a"])
    places = relatives(sources)
    assert len({place.casefold() for place in places}) == len(places) == 4


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing.jpg", "does not exist; look into the current folder"),
        ("a/nothing.jpg", "look into a"),
        ("none/*.jpg", "matches nothing"),
        ("a/*.txt", "matches 1 files or folders, but no image or video"),
        ("empty", "without images or videos"),
        ("https://example.org/a.jpg", "download"),
        ("", "empty name"),
        ("x" * 5000, "does not exist"),
        ("a\0b", "does not exist"),
        ("*\0b", "does not exist"),
    ],
)
def test_a_name_that_leads_nowhere_is_reported_and_the_others_go_on(
    tree: Path, name: str, message: str
) -> None:
    sources, problems = find_sources([name, "a/x.jpg"])
    assert relatives(sources) == ["x.jpg"]
    assert [message in str(problem) for problem in problems] == [True]
    assert "\n" not in str(problems[0])


def linked(path: str, target: Path) -> None:
    try:
        Path(path).symlink_to(target, target_is_directory=target.is_dir())
    except OSError:
        pytest.skip("links cannot be made here")


def test_links_that_lead_in_circles_do_not_hang(tree: Path) -> None:
    linked("a/loop", tree / "a")
    assert len(find_sources(["a"])[0]) == 3
    assert len(find_sources(["a/**/*.jpg"])[0]) == 1
    assert len(find_sources(["a", "a/loop", "a/loop/*", "a/loop/x.jpg"])[0]) == 3


def test_each_link_to_a_shared_file_is_a_source_of_its_own(tree: Path) -> None:
    for name in ("data/one/1.jpg", "data/one/2.jpg", "data/two/1.jpg"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        linked(name, tree / "strange.dat")
    sources, problems = find_sources(["data", "data/one/../one/2.jpg", str(tree / "data" / "two")])
    assert relatives(sources) == ["one/1.jpg", "one/2.jpg", "two/1.jpg"]
    assert problems == []
    assert relatives(find_sources(["data/one", "data/two"])[0]) == ["one/1.jpg", "2.jpg", "two/1.jpg"]


def test_every_result_stays_below_the_output_folder(tree: Path) -> None:
    sources, _ = find_sources(["../" + tree.name + "/a", "./other/../other", "*.jpg", "**/x.jpg"])
    assert sources
    for source in sources:
        assert not source.relative.is_absolute()
        assert ".." not in source.relative.parts


def test_a_file_in_a_locked_folder_may_not_be_read(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_dir", refuse)  # chmod does not stop a test that runs as root
    sources, (problem,) = find_sources(["locked/x.jpg"])
    assert sources == []
    assert str(problem) == "locked/x.jpg: may not be read; check the permissions of its folder"


@pytest.mark.parametrize(
    ("listing", "names"),
    [
        (b"", []),
        (b"a.jpg\nb c.jpg\r\n\nlast.jpg", ["a.jpg", "b c.jpg", "last.jpg"]),
        (b"a.jpg\0two\nlines.jpg\0", ["a.jpg", "two\nlines.jpg"]),
        (b"a.jpg\0b.jpg", ["a.jpg", "b.jpg"]),
        ("für.jpg\0".encode(), ["für.jpg"]),
    ],
)
def test_listed_names_stand_one_a_line_or_up_to_a_nul(listing: bytes, names: list[str]) -> None:
    assert listed_names(listing) == names


@pytest.mark.parametrize(
    ("suffix", "kind"),
    [(".jpg", "a JPEG image"), (".png", "a PNG image"), (".webp", "a WebP image"), (".bmp", "binary data")],
)
def test_the_bytes_of_a_photo_are_no_names(suffix: str, kind: str) -> None:
    photo = encode_image(np.zeros((60, 90, 3), np.uint8), suffix=suffix)
    with pytest.raises(InputError, match=f"the list holds no names of photos but what looks like {kind}"):
        listed_names(photo)
    with pytest.raises(InputError, match="an MP4 video"):
        listed_names(b"\0\0\0\x20ftypisom\0\0\2\0isomiso2")
