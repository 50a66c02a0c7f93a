from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from ffcli.app import run
from ffcore.images import write_image
from tests.detection.toys import photo, toy_onnx
from tests.evaluation.mat_files import write_ground_truth

ROOT = Path(__file__).parent.parent.parent


@dataclass
class Exam:
    """Photos with bright squares, which the toy detector takes for faces, and their ground truth."""

    folder: Path

    @property
    def options(self) -> list[str]:
        listed = self.folder / "list.txt"
        return ["--ground-truth", str(self.folder / "gt"), "--images", str(listed), "--threads", "1"]

    @property
    def model(self) -> list[str]:
        return ["--data", str(self.folder / "photos"), "--model", str(self.folder / "toy.onnx")]


@pytest.fixture
def exam(tmp_path: Path) -> Exam:
    events: dict[str, dict[str, list[tuple[float, float, float, float]]]] = {}
    for i in range(6):
        event, name = f"{i % 2}--Event", f"photo_{i}"
        left = 8 * (i + 1)
        # the brighter the square, the higher the score
        image = photo(64, 96, (left, 16, 8)) // 255 * np.uint8(203 + i)
        write_image(tmp_path / "photos" / event / f"{name}.png", image)
        # the toy puts its 16-pixel anchor on the centre of the bright cell; the last face is elsewhere
        face = (left - 4, 12, 15, 15) if i < 5 else (0, 40, 15, 15)
        events.setdefault(event, {})[name] = [face]
    write_ground_truth(tmp_path / "gt", events)
    names = [f"{event}/{name}" for event, images in events.items() for name in images]
    (tmp_path / "list.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    toy_onnx(tmp_path / "toy.onnx")
    return Exam(tmp_path)


def evaluate(*arguments: object) -> int:
    return run(["eval-widerface", *map(str, arguments)])


def test_from_weights_to_aps(exam: Exam, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(*exam.options, *exam.model, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    # the surest box is beside its face, the other five are on theirs: precision rises to 5/6, recall too
    assert result["ap"]["hard"] == pytest.approx(25 / 36)
    assert result["images"] == 6
    assert result["subsets"]["hard"]["faces"] == 6
    assert result["complete"]
    assert result["protocol"]["name"] == "original"
    assert result["model"]["library"] == "onnxruntime"
    assert result["speed"]["images"] == 6
    assert result["ap"]["easy"] == result["ap"]["hard"]


def test_what_keeps_the_ap_down_is_said_on_request(
    exam: Exam, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = tmp_path / "stored.json"
    assert evaluate(*exam.options, *exam.model, "--mistakes", "--out", stored, "--quiet") == 0
    shown = " ".join(capsys.readouterr().out.split())
    # the surest box lies on nothing, and its face has none: each costs 5/6 - 25/36
    assert "background 1 13.89 1 13.89 1 13.89 box on no face" in shown
    assert "precision 83.3 %, recall 83.3 %" in shown
    assert evaluate(*exam.options, *exam.model, "--mistakes", "--json", "--quiet") == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["mistakes"] == json.loads(stored.read_text(encoding="utf-8"))["mistakes"]
    kinds = printed["mistakes"]["hard"]["kinds"]
    assert kinds["background"] == {"count": 1, "cost": pytest.approx(5 / 36)}
    assert kinds["missed"] == {"count": 1, "cost": pytest.approx(5 / 36)}
    assert kinds["misplaced"] == kinds["duplicate"] == kinds["beside ignored"] == {"count": 0, "cost": 0}
    assert evaluate(*exam.options, *exam.model, "--json", "--quiet") == 0
    assert "mistakes" not in json.loads(capsys.readouterr().out)


def test_saved_predictions_score_the_same_and_remember_their_protocol(
    exam: Exam, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = tmp_path / "saved"
    assert evaluate(*exam.options, *exam.model, "--score", "0.05", "--save-predictions", saved, "--json") == 0
    first = json.loads(capsys.readouterr().out)
    assert evaluate(*exam.options, "--predictions", saved, "--json") == 0
    second = json.loads(capsys.readouterr().out)
    assert second["ap"] == first["ap"]
    assert second["protocol"] == first["protocol"]
    assert second["protocol"]["name"] == "original, score=0.05"


def test_a_second_run_finishes_what_the_first_left(
    exam: Exam, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = tmp_path / "saved"
    command = (*exam.options, *exam.model, "--save-predictions", saved, "--json")
    assert evaluate(*command) == 0
    whole = json.loads(capsys.readouterr().out)
    for name in ("0--Event/photo_0.txt", "1--Event/photo_3.txt"):
        (saved / name).unlink()
    assert evaluate(*command) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["speed"]["images"] == 2
    assert again["ap"] == whole["ap"]
    assert evaluate(*exam.options, *exam.model, "--nms", "0.3", "--save-predictions", saved) == 3
    assert "another run" in capsys.readouterr().err


def test_a_broken_photo_is_named_and_the_score_says_that_it_is_incomplete(
    exam: Exam, capsys: pytest.CaptureFixture[str]
) -> None:
    (exam.folder / "photos" / "0--Event" / "photo_2.png").write_bytes(b"nothing")
    (exam.folder / "photos" / "1--Event" / "photo_1.png").unlink()
    assert evaluate(*exam.options, *exam.model) == 3
    captured = capsys.readouterr()
    assert "incomplete: 2 of 6 images have no predictions" in captured.out
    assert "photo_2" in captured.err
    assert "1--Event/photo_1: no such photo" in captured.err


def test_missing_predictions_stop_unless_they_count_as_empty(
    exam: Exam, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = tmp_path / "saved"
    assert evaluate(*exam.options, *exam.model, "--save-predictions", saved) == 0
    (saved / "0--Event" / "photo_0.txt").unlink()
    capsys.readouterr()
    assert evaluate(*exam.options, "--predictions", saved) == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "0--Event/photo_0" in captured.err
    assert evaluate(*exam.options, "--predictions", saved, "--json") == 3
    assert json.loads(capsys.readouterr().out) == {"complete": False, "missing": ["0--Event/photo_0"]}
    assert evaluate(*exam.options, "--predictions", saved, "--missing-as-empty") == 3
    assert "incomplete: 1 of 6" in capsys.readouterr().out


def test_a_fall_of_the_ap_fails_a_build(
    exam: Exam, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved, earlier = tmp_path / "saved", tmp_path / "earlier.json"
    assert evaluate(*exam.options, *exam.model, "--save-predictions", saved, "--out", earlier) == 0
    assert evaluate(*exam.options, "--predictions", saved, "--against", earlier) == 0
    for path in (saved / "0--Event").glob("*.txt"):
        path.write_text(f"{path.stem}\n0\n", encoding="utf-8")
    capsys.readouterr()
    assert evaluate(*exam.options, "--predictions", saved, "--against", earlier) == 3
    assert "hard: the AP fell by" in capsys.readouterr().err
    assert evaluate(*exam.options, "--predictions", saved, "--against", earlier, "--max-drop", "100") == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--model", "x.onnx"], 2, "give --predictions, or --data and --model"),
        (["--predictions", "p", "--model", "x.onnx", "--data", "d"], 2, "leave out --model"),
        (["--predictions", "nowhere"], 3, "nowhere"),
        (["--data", ".", "--model", "nothing.onnx"], 4, "nothing.onnx"),
        (["--data", ".", "--model", "x.onnx", "--protocol", "vgaa"], 2, "did you mean 'vga'"),
        (["--predictions", "p", "--images", "nolist.txt"], 3, "nolist.txt"),
        (["--predictions", "p", "--against", "no.json"], 3, "no.json"),
    ],
)
def test_mistakes_are_one_line_with_their_exit_code(
    arguments: list[str], code: int, message: str, exam: Exam, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(*exam.options, *arguments) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.count("\n") == 1


def test_a_ground_truth_that_is_not_there_names_its_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate("--ground-truth", tmp_path, "--predictions", tmp_path) == 3
    assert "wider_face_val.mat" in capsys.readouterr().err


def test_two_processes_give_the_numbers_of_one(
    exam: Exam, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(*exam.options, *exam.model, "--json") == 0
    alone = json.loads(capsys.readouterr().out)
    shared = [*exam.options, *exam.model, "--json", "--quiet", "--save-predictions", str(tmp_path / "saved")]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*torchrun, "-m", "ffcli", "eval-widerface", *shared],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    together = json.loads(done.stdout)
    assert together["ap"] == alone["ap"]
    assert together["boxes"] == alone["boxes"]
    assert together["speed"]["images"] == 6


@pytest.mark.reference
def test_the_golden_scores_come_out_of_the_command(
    reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = reference / "evaluation"
    with tarfile.open(folder / "predictions_real_a.tar.xz") as archive:
        archive.extractall(tmp_path / "real_a", filter="data")
    truth = folder / "ground_truth"
    assert evaluate("--ground-truth", truth, "--predictions", tmp_path / "real_a", "--json") == 0
    found = json.loads(capsys.readouterr().out)["ap"]
    wanted = {"easy": 0.9324932633835993, "medium": 0.9127942909886333, "hard": 0.8297205022059916}
    assert found == pytest.approx(wanted, abs=1e-9)
    assert evaluate("--ground-truth", truth, "--predictions", tmp_path / "real_a") == 0
    assert "93.25" in capsys.readouterr().out


def test_pictures_are_drawn_on_request(exam: Exam, tmp_path: Path) -> None:
    stored, plots = tmp_path / "stored.json", tmp_path / "plots"
    assert evaluate(*exam.options, *exam.model, "--out", stored) == 0
    assert evaluate(*exam.options, *exam.model, "--plots", plots, "--compare", stored) == 0
    assert (plots / "precision_recall_hard.png").exists()
    assert "photo_5" in (plots / "worst.html").read_text(encoding="utf-8")


def test_a_result_of_another_protocol_is_no_yardstick(
    exam: Exam, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = tmp_path / "stored.json"
    assert evaluate(*exam.options, *exam.model, "--out", stored) == 0
    capsys.readouterr()
    assert evaluate(*exam.options, *exam.model, "--score", "0.1", "--against", stored) == 3
    captured = capsys.readouterr()
    assert "protocol differ" in captured.err
    assert captured.out == ""
