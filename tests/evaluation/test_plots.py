from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from ffcore.errors import ConfigError, InputError, MissingDependencyError
from ffcore.evaluation.plots import plot_by_event, plot_by_height, plot_curves
from ffcore.evaluation.result import EvaluationResult
from ffcore.evaluation.scoring import Matched, match_predictions, score, score_by_event, score_by_height
from tests.evaluation.small_sets import arrays
from tests.evaluation.twin import TwinImage

FACE = (10.0, 10.0, 39.0, 39.0)
ALL: dict[str, set[int]] = {"easy": set(), "medium": {0}, "hard": {0}}


def matched() -> Matched:
    images = [
        TwinImage("0--A/a", [FACE], ALL, [(*FACE, 0.9), (200.0, 0.0, 9.0, 9.0, 0.8)]),
        TwinImage("1--B/b", [FACE], ALL, [(*FACE, 0.3), (0.0, 0.0, 2.0, 2.0, 0.0)]),
    ]
    return match_predictions(*arrays(images))


def result(name: str = "original", *, missing: tuple[str, ...] = ()) -> EvaluationResult:
    return replace(score(matched(), protocol={"name": name}), missing=missing)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """All the words in the pictures saved so far."""
    words: list[str] = []
    save = Figure.savefig

    def listen(figure: Figure, *args: object, **options: object) -> None:
        save(figure, *args, **options)  # type: ignore[arg-type]
        words.extend(text.get_text() for text in figure.findobj(Text))  # type: ignore[attr-defined]

    monkeypatch.setattr(Figure, "savefig", listen)
    return lambda: "\n".join(words)


def test_every_subset_gets_a_picture_of_its_curves(tmp_path: Path, said: Callable[[], str]) -> None:
    files = plot_curves(tmp_path / "plots", {"v1": result(), "v2": result()})
    assert [path.name for path in files] == [
        f"precision_recall_{name}.png" for name in ("easy", "medium", "hard")
    ]
    for path in files:
        with Image.open(path) as picture:
            assert len(picture.convert("L").getcolors() or ()) > 10
    assert "v1: AP n/a, 0 faces" in said()
    assert "v2: AP 83.33, 2 faces" in said()
    assert "protocol: original" in said()
    assert "INCOMPLETE" not in said()
    assert "DIFFERENT" not in said()


def test_a_picture_says_what_is_incomplete_and_what_has_another_protocol(
    tmp_path: Path, said: Callable[[], str]
) -> None:
    results = {"v1": result(missing=("1--B/b",)), "v2": result("vga")}
    plot_curves(tmp_path, results)
    by_height = score_by_height(matched(), edges=(20,))
    for words in (said(), height_words(tmp_path, {"v1": by_height, "v2": by_height}, results, said)):
        assert "v1 (INCOMPLETE)" in words
        assert "v1: incomplete: 1 of 2 images have no predictions" in words
        assert "DIFFERENT PROTOCOLS" in words
        assert "v2: protocol: vga" in words


def height_words(folder: Path, scores: dict, results: dict, said: Callable[[], str]) -> str:  # type: ignore[type-arg]
    before = len(said())
    plot_by_height(folder / "height.png", scores, results)
    return said()[before:]


def test_height_and_event_pictures_name_their_parts(tmp_path: Path, said: Callable[[], str]) -> None:
    one = matched()
    plot_by_height(tmp_path / "height.svg", {"v1": score_by_height(one, edges=(20,))}, {"v1": result()})
    assert "20+\n2 faces" in said()
    assert "<20\n0 faces" in said()
    plot_by_event(tmp_path / "event.png", {"v1": score_by_event(one)}, {"v1": result()}, subset="hard")
    assert "0--A (1)" in said()
    assert "1--B (1)" in said()
    assert (tmp_path / "height.svg").read_text().startswith("<?xml")


def test_names_bands_and_subsets_must_agree(tmp_path: Path) -> None:
    one, path = matched(), tmp_path / "picture.png"
    results = {"v1": result(), "v2": result()}
    bands, others = score_by_height(one, edges=(20,)), score_by_height(one, edges=(30,))
    with pytest.raises(ConfigError, match="same names"):
        plot_by_height(path, {"v1": bands}, results)
    with pytest.raises(ConfigError, match="v2: its bands"):
        plot_by_height(path, {"v1": bands, "v2": others}, results)
    with pytest.raises(ConfigError, match="v1: has no subset 'tiny'"):
        plot_by_event(path, {"v1": score_by_event(one)}, {"v1": result()}, subset="tiny")
    with pytest.raises(ConfigError, match="no event has a face in the subset 'easy'"):
        plot_by_event(path, {"v1": score_by_event(one)}, {"v1": result()}, subset="easy")
    with pytest.raises(ConfigError, match="no result to draw"):
        plot_curves(tmp_path, {})
    assert not path.exists()


def test_a_result_without_curves_cannot_be_drawn(tmp_path: Path) -> None:
    bare = EvaluationResult.from_dict(result().to_dict(curves=False))
    with pytest.raises(InputError, match="v1: the result was stored without its curves"):
        plot_curves(tmp_path, {"v1": bare})


def test_subsets_with_signs_in_their_names_have_plain_file_names(tmp_path: Path) -> None:
    plain = matched()
    bands = replace(plain, ground_truth=plain.ground_truth.with_height_bands({"height>=30": 30.0}))
    files = plot_curves(tmp_path, {"v1": score(bands)})
    assert [path.name for path in files] == ["precision_recall_height_30.png"]


def test_without_matplotlib_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependencyError, match="pip install matplotlib"):
        plot_curves(tmp_path, {"v1": result()})


def test_scoring_loads_neither_matplotlib_nor_torch() -> None:
    code = (
        "import sys, ffcore.evaluation.scoring, ffcore.evaluation.plots, ffcore.evaluation.labels, "
        "ffcore.evaluation.wider_mat\n"
        "assert not {'matplotlib', 'torch', 'scipy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
