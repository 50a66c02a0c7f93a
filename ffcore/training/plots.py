"""Pictures of a training run, drawn from its record."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ffcore.errors import InputError, MissingDependencyError
from ffcore.files import replacing
from ffcore.training.early_stopping import judged_loss
from ffcore.training.health import NORM_HIGH, NORM_LOW
from ffcore.training.run_folder import MEASURES, METRICS, RunFolder

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Curve = tuple[NDArray[np.int64], NDArray[np.float64]]
"""Steps and values."""

# colours that people with any colour vision tell apart (Okabe and Ito, 2008)
_RAW, _SMOOTH, _HELD_BACK, _LIMIT = "#a6cee3", "#0072b2", "#d55e00", "#cc79a7"
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_OTHER = frozenset({"kind", "step", "epoch", "gradient_norm", "rate", "images_per_second"})
_BINS = 1500  # a picture has no more columns; of each, the lowest and the highest value are drawn
_WINDOW, _LEAST_WINDOW = 0.02, 5.0  # over which curves are smoothed: share of the run, and steps at least
_SPAN = 20.0  # a loss that falls by a larger factor is drawn in powers of ten


def plot_run(folder: str | Path, *, out: str | Path | None = None) -> list[Path]:
    """Draw losses, measures, gradient norm, rate and validations of a run.

    Args:
        folder: Of the run.
        out: Where the pictures go; ``plots`` in the folder by default. They are made anew.

    Returns:
        The pictures; those are left out for which the record has nothing.

    Raises:
        InputError: There is no record, or a picture cannot be written.
        MissingDependencyError: matplotlib is not installed.
    """
    run = RunFolder(folder)
    records = run.read_record()
    if not any(record["kind"] == "step" for record in records):
        raise InputError(f"{run.path / METRICS}: holds no step that could be drawn")
    out = Path(folder) / "plots" if out is None else Path(out)
    curves = _curves(records)
    looks = [record for record in records if record["kind"] == "validation"]
    back = [int(record["step"]) + 1 for record in records if record["kind"] == "rollback"]
    terms = {name: curve for name, curve in curves.items() if name not in MEASURES | _OTHER}
    measures = {name: curve for name, curve in curves.items() if name in MEASURES}

    files = [_plot_terms(out / "losses.png", terms, looks, back)]
    if measures:
        files.append(_plot_measures(out / "measures.png", measures, back))
    if "gradient_norm" in curves:
        files.append(_plot_norm(out / "gradient_norm.png", curves["gradient_norm"], back))
    files.append(_plot_rate(out / "rate.png", curves["rate"], back))
    if looks:
        files.append(_plot_looks(out / "validation.png", looks))
    return files


def smoothed(values: NDArray[np.float64], *, window: float) -> NDArray[np.float64]:
    """A moving average that looks back, and is no further off at its start than anywhere.

    Args:
        values: (N,); those that are not finite are passed over.
        window: Values over which it averages, 1 or more.

    Returns:
        (N,); NaN before the first finite value.
    """
    keep = 1 - 1 / max(window, 1.0)
    result = np.full(len(values), np.nan)
    total = weight = 0.0
    for i, value in enumerate(values.tolist()):
        if math.isfinite(value):
            total, weight = keep * total + value, keep * weight + 1
        if weight:
            result[i] = total / weight
    return result


def _curves(records: Sequence[Mapping[str, Any]]) -> dict[str, Curve]:
    steps: dict[str, list[int]] = {}
    values: dict[str, list[float]] = {}
    for record in records:
        if record["kind"] != "step":
            continue
        for name, value in record.items():
            if name in ("kind", "step", "epoch") or value is None:
                continue
            steps.setdefault(name, []).append(int(record["step"]))
            values.setdefault(name, []).append(float(value))  # "nan" and "inf" are written as words
    return {name: (np.array(steps[name], np.int64), np.array(values[name])) for name in steps}


def _plot_terms(
    path: Path, terms: Mapping[str, Curve], looks: Sequence[Mapping[str, Any]], back: Sequence[int]
) -> Path:
    figure, panels = _panels(len(terms))
    for axes, (name, curve) in zip(panels, terms.items(), strict=True):
        _draw(axes, curve, label="each step")
        seen = [(look["step"], float(look["loss"][name])) for look in looks if name in look["loss"]]
        if seen:
            axes.plot(*zip(*seen, strict=True), "o", color=_HELD_BACK, markersize=3, label="held back")
        finite = curve[1][np.isfinite(curve[1])]
        if len(finite) and 0 < _SPAN * finite.min() < finite.max():
            axes.set_yscale("log")
        axes.set_title(name)
        _mark(axes, back)
    panels[0].legend(fontsize="x-small")
    return _save(figure, path)


def _plot_measures(path: Path, measures: Mapping[str, Curve], back: Sequence[int]) -> Path:
    figure, panels = _panels(len(measures))
    for axes, (name, curve) in zip(panels, measures.items(), strict=True):
        if name == "alpha":  # chosen, not noisy
            axes.plot(*_thinned(*curve), color=_SMOOTH)
        else:
            _draw(axes, curve, label="each step")
            axes.legend(fontsize="x-small")
        axes.set_ylim(0, 1.02)  # both are shares
        axes.set_title("α" if name == "alpha" else "agreement with the teacher")
        _mark(axes, back)
    return _save(figure, path)


def _plot_norm(path: Path, curve: Curve, back: Sequence[int]) -> Path:
    figure, (axes,) = _panels(1)
    _draw(axes, curve, label="before clipping")
    for limit in (NORM_LOW, NORM_HIGH):
        axes.axhline(limit, color=_LIMIT, linestyle="--", linewidth=1)
    axes.annotate(
        f"unhealthy above {NORM_HIGH:g}",
        (0, NORM_HIGH),
        xycoords=("axes fraction", "data"),
        xytext=(5, 3),
        textcoords="offset points",
        fontsize=7,
    )
    axes.set_yscale("log")
    finite = curve[1][np.isfinite(curve[1]) & (curve[1] > 0)]
    if len(finite) and finite.min() > 100 * NORM_LOW:  # the lower limit would only squeeze the curve
        axes.set_ylim(bottom=min(finite.min(), NORM_HIGH) / 2)
    axes.set_title("gradient norm")
    axes.legend(fontsize="x-small")
    _mark(axes, back)
    return _save(figure, path)


def _plot_rate(path: Path, curve: Curve, back: Sequence[int]) -> Path:
    figure, (axes,) = _panels(1)
    axes.plot(*_thinned(*curve), color=_SMOOTH)
    axes.set_ylim(bottom=0)
    axes.set_title("learning rate")
    _mark(axes, back)
    return _save(figure, path)


def _plot_looks(path: Path, looks: Sequence[Mapping[str, Any]]) -> Path:
    with_ap = any(look["ap"] for look in looks)
    figure, panels = _panels(1 + with_ap)
    epochs = [look["epoch"] + 1 for look in looks]
    judged = [judged_loss(look["loss"]) for look in looks]
    losses = [math.nan if loss is None else float(loss) for loss in judged]  # words as above
    panels[0].plot(epochs, losses, "o-", color=_SMOOTH, markersize=3)
    best = [i for i, look in enumerate(looks) if look["best"]]
    if best:
        panels[0].plot(epochs[best[-1]], losses[best[-1]], "*", color=_HELD_BACK, markersize=11, label="best")
        panels[0].legend(fontsize="x-small")
    panels[0].set_title("loss on photos held back")
    if with_ap:
        for i, name in enumerate(dict.fromkeys(name for look in looks for name in look["ap"])):
            aps = [100 * look["ap"].get(name, math.nan) for look in looks]
            panels[1].plot(epochs, aps, "o-", color=_COLOURS[i % len(_COLOURS)], markersize=3, label=name)
        panels[1].set_title("AP on photos held back, in %")
        panels[1].set_ylim(bottom=0)
        panels[1].legend(fontsize="x-small")
    for axes in panels:
        axes.set_xlabel("epoch")
    return _save(figure, path)


def _draw(axes: Axes, curve: Curve, *, label: str) -> None:
    """A curve as it is, and smoothed."""
    steps, values = curve
    window = max(_WINDOW * len(values), _LEAST_WINDOW)
    axes.plot(*_thinned(steps, values), color=_RAW, linewidth=0.8, label=label)
    if len(values) > 2 * window:
        label = f"mean over about {window:.0f}"
        axes.plot(*_thinned(steps, smoothed(values, window=window)), color=_SMOOTH, label=label)


def _thinned(steps: NDArray[np.int64], values: NDArray[np.float64]) -> Curve:
    """The lowest and the highest value of each bin: a peak of one step stays to be seen."""
    if len(values) <= 2 * _BINS:
        return steps, values
    chosen: list[int] = []
    for part in np.array_split(np.arange(len(values)), _BINS):
        filled = np.where(np.isfinite(values[part]), values[part], np.nan)
        if not np.isnan(filled).all():
            chosen += sorted({int(part[np.nanargmin(filled)]), int(part[np.nanargmax(filled)])})
    return steps[chosen], values[chosen]


def _mark(axes: Axes, back: Sequence[int]) -> None:
    """A line where the training went back to an earlier state."""
    for step in back:
        axes.axvline(step, color=_LIMIT, linewidth=1, linestyle=":")


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError(
            'drawing a run needs matplotlib: pip install "featherface[eval]"'
        ) from error
    columns = 1 if count == 1 else 2
    rows = -(-count // columns)
    # not pyplot: that keeps figures alive
    figure = Figure(figsize=(5.0 * columns + 2.2 * (count == 1), 3.4 * rows), layout="constrained")
    grid = [figure.add_subplot(rows, columns, i + 1) for i in range(count)]
    for axes in grid:
        axes.grid(color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.set_xlabel("step")
    return figure, grid


def _save(figure: Figure, path: Path) -> Path:
    with replacing(path) as part:
        figure.savefig(part, dpi=120, format="png")
    return path
