from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from ffcli.training.display import Display
from ffcli.training.lines import Lines
from ffcli.training.picture import Picture, draw
from ffcli.training.session import make_display
from ffcli.training.state import TrainingState, Trend
from ffcli.training.words import duration, sparkline
from ffcore.events import Event, Noticed
from ffcore.training.events import EpochStarted, RolledBack, RunStarted, Saved, StepDone, Unhealthy, Validated
from ffcore.training.health import examine
from ffcore.training.run_folder import RunFolder
from ffcore.training.trainer import StepReport

BATCHES = 4


def started(folder: Path = Path("runs/v1-1"), *, first_step: int = 0) -> RunStarted:
    return RunStarted(
        folder=folder,
        model="v1",
        parameters=489_015,
        device="cuda:0",
        processes=1,
        photos=12_880,
        held_back=644,
        epochs=350,
        batches=BATCHES,
        first_step=first_step,
    )


def step(number: int, *, total: float = 12.5, norm: float = 2.0) -> list[Event]:
    terms = {"box": 2.0, "classification": 3.0, "landmark": 5.5, "total": total}
    findings = tuple(examine(number, terms, gradient_norm=norm))
    names = ("a.jpg", "b.jpg", "c.jpg")
    report = StepReport(number, terms, {}, norm, 1e-3, findings, names)
    done = StepDone(report, number // BATCHES, number % BATCHES, 21.5, 7384.0, 3_400_000_000)
    return [done, *(Unhealthy(finding, names) for finding in findings)]


def a_run() -> list[Event]:
    """One epoch with an unsound step, and half of another."""
    aps = {"height>=50": 0.5123, "height>=30": 0.4, "height>=10": 0.3}
    return [
        started(),
        EpochStarted(0, {"alpha": 0.5}),
        *(event for n in range(4) for event in step(n, total=12.5 - n, norm=40.0 if n == 2 else 2.0)),
        Validated(0, {"total": 14.0, "box": 3.0}, aps, True, 4.0),
        Saved(Path("runs/v1-1/last.checkpoint"), 4),
        EpochStarted(1, {"alpha": 0.5}),
        *(event for n in range(4, 6) for event in step(n, total=12.5 - n, norm=50.0)),
    ]


def seen(events: list[Event]) -> TrainingState:
    state = TrainingState()
    for event in events:
        state.on_event(event)
    return state


def drawn(state: TrainingState, width: int, **options: bool) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    console.print(draw(state, width=width, **options))
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_a_picture_fits_its_width_and_shows_everything(width: int) -> None:
    lines = drawn(seen(a_run()), width, stopping=True)
    assert max(map(len, lines)) <= width
    assert len(lines) <= 40
    text = " ".join(" ".join(lines).split())
    for part in ("epoch 2/350", "2/4", "0.4 %", "21.5 images/s", "classification", "2 of 2 steps unhealthy"):
        assert part in text
    if width >= 60:
        assert "2:03 h left" in text
        assert "AP ≥50" in text
        assert "51.23" in text
        assert "memory 3.40 GB" in text
        assert "once more to leave at once" in text
        assert "8.0000 14.0000" in text  # the mean of the epoch, and the photos held back
        total = next(line for line in lines if line.startswith("total"))
        assert "▁" in total
        assert "▁" not in " ".join(drawn(seen(a_run()), width, ascii_only=True))


def test_a_picture_can_be_drawn_before_anything_is_known() -> None:
    assert "reading labels" in drawn(TrainingState(), 80)[0]
    assert "not validated yet" in "\n".join(drawn(seen([started()]), 80))


def test_plain_lines_tell_each_kind_of_unsound_step_once_and_then_count(
    capsys: pytest.CaptureFixture[str],
) -> None:
    now = 0.0
    lines = Lines(clock=lambda: now)
    with lines:
        for event in a_run():
            now += 3.0  # seconds between two events
            lines.on_event(event)
    written = capsys.readouterr().err.splitlines()
    assert written[0] == "v1, 489,015 parameters, on cuda:0, 12,880 photos, 644 held back; runs/v1-1"
    assert sum("the gradient norm is" in line for line in written) == 1
    assert "step 2: the gradient norm is 40, above 10 (a.jpg, b.jpg and 1 more)" in "\n".join(written)
    (validation,) = (line for line in written if line.startswith("validation"))
    assert validation.startswith("validation after epoch 1: loss 14.0000, AP height>=50 51.23, ")
    assert validation.endswith("AP height>=10 30.00, the best so far (4 s)")
    means = [line for line in written if "mean of" in line]
    assert means[0].startswith("epoch 1/350, mean of 4 steps: box 2.0000 classification 3.0000")
    assert means[0].endswith("1 of 4 steps unhealthy (1 × the gradient norm above 10)")
    assert means[1].endswith("2 of 2 steps unhealthy (2 × the gradient norm above 10)")
    steps = [line for line in written if " step " in line and line.startswith("epoch")]
    assert 1 < len(steps) < 6
    assert all("2:03 h left" in line for line in steps)


def test_going_back_forgets_what_was_undone() -> None:
    state = seen([*a_run(), RolledBack("step 6: diverged (total nan) on a.jpg; lower the rate", 5, 0.5)])
    assert state.messages[-1] == "back to step 5 with rates times 0.5: step 6: diverged (total nan) on a.jpg"
    assert (state.epoch, state.batch, state.step, state.rollbacks) == (1, 0, 4, 1)
    assert state.gradient.epoch == []
    assert "went back 1 ×" in "\n".join(drawn(state, 80))


def test_a_run_that_goes_on_recalls_its_trend_and_its_best_validation(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for number in range(6):
        values = {"epoch": number // 4, "total": 10.0 - number, "gradient_norm": 3.0, "rate": 1e-3}
        folder.record("step", number, values)
        if number == 3:
            folder.record("validation", 3, {"epoch": 0, "loss": {"total": 9.0}, "ap": {}, "best": True})
    folder.close()
    state = seen([started(tmp_path, first_step=5)])
    assert state.terms["total"].trend.points == [10.0, 9.0, 8.0, 7.0, 6.0]
    assert state.terms["total"].epoch == [6.0]
    assert set(state.terms) == {"total"}
    assert state.best is not None
    assert state.best.terms["total"] == 9.0


def test_notices_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    Lines().on_event(Noticed("a.jpg", "was shrunk"))
    assert capsys.readouterr().err == "a.jpg: was shrunk\n"


def test_nothing_moves_where_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert type(make_display(quiet=True, plain=False)) is Display
    assert isinstance(make_display(quiet=False, plain=False), Lines)  # stderr is no terminal here
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert isinstance(make_display(quiet=False, plain=True), Lines)


def test_a_live_picture_shows_the_last_state_when_it_ends() -> None:
    console = Console(file=io.StringIO(), width=80, height=40, force_terminal=True, color_system=None)
    with Picture(console) as picture:
        for event in a_run():
            picture.on_event(event)
        picture.interrupted()
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "epoch 2/350" in text.rpartition("v1, 489,015")[2]
    assert "finishing this step and saving" in text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0 s"),
        (59.4, "59 s"),
        (60, "1:00 min"),
        (3599, "59:59 min"),
        (18_120, "5:02 h"),
        (90_000, "1 day 1 h"),
        (360_000, "4 days 4 h"),
    ],
)
def test_durations_are_short(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_sparkline_goes_from_lowest_to_highest() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8) == "▁▂▃▄▅▆▇█"
    assert sparkline([7, 7, 0, 0], 2) == "█▁"
    assert sparkline([3.0], 5) == "▅"
    assert sparkline([], 5) == sparkline([1.0], 0) == ""
    assert sparkline([0, 1], 9, ascii_only=True) == "_#"


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=600), st.integers(1, 80))
def test_a_trend_stays_short_and_keeps_the_mean(values: list[float], width: int) -> None:
    trend = Trend()
    for value in values:
        trend.add(value)
    assert 0 < len(trend.points) < 128 or len(values) < 128
    assert min(values) - 1e-6 <= min(trend.points)
    assert max(trend.points) <= max(values) + 1e-6
    assert len(sparkline(trend.points, width)) == min(width, len(trend.points))


def test_a_trend_of_many_values_covers_all_of_them() -> None:
    trend = Trend()
    for value in range(10_000):
        trend.add(float(value))
    assert 64 <= len(trend.points) < 128
    assert trend.points[0] < 200
    assert trend.points[-1] > 9800
    assert trend.points == sorted(trend.points)
