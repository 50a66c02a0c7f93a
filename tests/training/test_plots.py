from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffcore.errors import InputError
from ffcore.images import read_image
from ffcore.training.plots import plot_run, smoothed


def record(folder: Path, steps: int, **more: Any) -> Path:
    """The record of a run whose loss falls."""
    folder.mkdir(parents=True, exist_ok=True)
    lines: list[dict[str, Any]] = []
    for step in range(steps):
        numbers = {"total": 30 / (step + 1) + 1, "box": 2.0, "classification": 1.0, "landmark": 3.0}
        lines.append({"kind": "step", "step": step, "epoch": step // 10, **numbers, **more})
        lines[-1] |= {"gradient_norm": 5.0 if step % 2 else None, "rate": 1e-3, "images_per_second": 9.0}
        if step % 10 == 9:
            look = {"loss": {"total": 20 / step}, "ap": {"height>=50": step / steps}, "best": True}
            lines.append({"kind": "validation", "step": step, "epoch": step // 10, **look})
    (folder / "metrics.jsonl").write_text(
        "".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8"
    )
    return folder


def test_every_picture_shows_something(tmp_path: Path) -> None:
    files = plot_run(record(tmp_path / "run", 40, alpha=0.5))
    assert [path.name for path in files] == [
        "losses.png",
        "measures.png",
        "gradient_norm.png",
        "rate.png",
        "validation.png",
    ]
    assert all(path.parent == tmp_path / "run" / "plots" for path in files)
    for path in files:
        picture = read_image(path)
        assert min(picture.shape[:2]) > 300
        coloured = picture.max(axis=-1).astype(int) - picture.min(axis=-1) > 60
        assert coloured.sum() > 200, path


def test_nothing_is_drawn_of_what_was_not_recorded(tmp_path: Path) -> None:
    files = plot_run(record(tmp_path / "run", 5), out=tmp_path / "elsewhere")
    assert [path.name for path in files] == ["losses.png", "gradient_norm.png", "rate.png"]
    assert files[0].parent == tmp_path / "elsewhere"


def test_the_terms_of_a_distillation_are_losses_without_any_validation(tmp_path: Path) -> None:
    more = {"task": 1.0, "distill": 2.0, "feature": 0.5, "agreement": 0.3}
    files = plot_run(record(tmp_path / "run", 5, **more))
    heights = {path.name: read_image(path).shape[0] for path in files}
    assert heights["losses.png"] > 2 * heights["measures.png"]  # seven losses in two columns, one measure


def test_a_run_with_rollbacks_and_values_that_are_no_numbers_can_be_drawn(tmp_path: Path) -> None:
    folder = record(tmp_path / "run", 25)
    with (folder / "metrics.jsonl").open("a", encoding="utf-8") as lines:
        lines.write('{"kind": "rollback", "step": 24, "reason": "x", "rate_factor": 0.5}\n')
        lines.write('{"kind": "step", "step": 25, "total": "nan", "gradient_norm": "inf", "rate": 1e-3}\n')
    assert len(plot_run(folder)) == 4


def test_a_validation_whose_loss_is_no_number_is_drawn_as_a_hole(tmp_path: Path) -> None:
    pictures = []
    for loss in ({"total": "nan"}, {}):  # as it is written, and as if it were not there
        file = record(tmp_path / "run", 40) / "metrics.jsonl"
        lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        next(line for line in lines if line["kind"] == "validation")["loss"] = loss
        file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        pictures.append(read_image(plot_run(file.parent)[-1]))
    np.testing.assert_array_equal(*pictures)


def test_a_long_run_keeps_the_peak_of_a_single_step(tmp_path: Path) -> None:
    from ffcore.training.plots import _thinned

    values = np.ones(20_000)
    values[12_345] = 1e6
    steps, thinned = _thinned(np.arange(20_000), values)
    assert len(thinned) <= 3000
    assert steps[thinned.argmax()] == 12_345
    assert (np.diff(steps) > 0).all()


def test_a_folder_without_a_record_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"metrics\.jsonl: holds no step"):
        plot_run(tmp_path)


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=50), st.floats(1, 20))
def test_a_smoothed_curve_stays_between_the_values_it_has_seen(values: list[float], window: float) -> None:
    curve = smoothed(np.array(values), window=window)
    assert (curve >= np.minimum.accumulate(values) - 1e-6).all()
    assert (curve <= np.maximum.accumulate(values) + 1e-6).all()
    assert curve[0] == values[0]


def test_smoothing_over_one_value_changes_nothing_and_passes_over_holes() -> None:
    values = np.array([np.nan, 1.0, 2.0, np.inf, 4.0])
    assert smoothed(values, window=1).tolist()[1:] == [1.0, 2.0, 2.0, 4.0]
    assert np.isnan(smoothed(values, window=1)[0])
