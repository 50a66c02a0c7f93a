"""Pictures of evaluations: precision over recall, AP by face height and by event.

Every picture says the protocol, and "incomplete" where images had no predictions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ffcore.errors import ConfigError, InputError, MissingDependencyError
from ffcore.evaluation.result import EvaluationResult, SubsetScore
from ffcore.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# colours that people with any colour vision tell apart (Okabe and Ito, 2008), and a second sign beside them
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_LINES = ("-", "--", "-.", ":")
_HIGHEST_PICTURE = 40.0


def plot_curves(folder: str | Path, results: Mapping[str, EvaluationResult]) -> list[Path]:
    """Draw precision over recall, one picture per subset with one line per result.

    Args:
        folder: Gets ``precision_recall_<subset>.png``; made if missing.
        results: Results with their curves, by the name that the legend shows.

    Returns:
        The files, in the order of the subsets of the first result.

    Raises:
        ConfigError: There is no result.
        InputError: A result was stored without its curves, or a file cannot be written.
        MissingDependencyError: matplotlib is not installed.
    """
    if not results:
        raise ConfigError("there is no result to draw")
    files: list[Path] = []
    for subset in next(iter(results.values())).ap:
        figure, axes = _picture(7.2, 6.0)
        for number, (label, result) in enumerate(results.items()):
            score = next((each for each in result.subsets if each.name == subset), None)
            if score is None:
                continue
            if score.curve is None:
                raise InputError(f"{label}: the result was stored without its curves; store it with them")
            some = score.curve.proposals > 0
            axes.plot(
                100 * score.curve.recall[some],
                100 * score.curve.precision[some],
                color=_COLOURS[number % len(_COLOURS)],
                linestyle=_LINES[number // len(_COLOURS) % len(_LINES)],
                label=_legend(label, score, result),
            )
        axes.set(xlim=(0, 100.5), ylim=(0, 100.5), xlabel="recall in %", ylabel="precision in %")
        axes.set_title(f"{subset}: precision and recall")
        axes.legend(loc="lower left", fontsize="small")
        files.append(_save(figure, Path(folder) / f"precision_recall_{_safe(subset)}.png", results))
    return files


def plot_by_height(
    path: str | Path,
    scores: Mapping[str, Sequence[SubsetScore]],
    results: Mapping[str, EvaluationResult],
) -> Path:
    """Draw AP by face height, with the number of faces under each band.

    Args:
        path: The picture to write.
        scores: From `score_by_height`, with the same bands for each result.
        results: The results under the same names; they say protocol and remarks.

    Raises:
        ConfigError: The names or the bands differ.
        InputError: The file cannot be written.
        MissingDependencyError: matplotlib is not installed.
    """
    _check_names(scores, results)
    bands = {label: [(score.name, score.faces) for score in each] for label, each in scores.items()}
    first = next(iter(bands.values()))
    for label, each in bands.items():
        if each != first:
            raise ConfigError(
                f"{label}: its bands of height or their faces are not those of the first result"
            )
    figure, axes = _picture(1.6 + 1.05 * len(first), 5.0)
    _bars(figure, axes, scores, results, horizontal=False)
    axes.set_xticks(
        range(len(first)), [f"{name}\n{faces:,} faces" for name, faces in first], fontsize="small"
    )
    axes.set(ylim=(0, 100), xlabel="face height in pixels", ylabel="AP in %", title="AP by face height")
    return _save(figure, Path(path), results)


def plot_by_event(
    path: str | Path,
    scores: Mapping[str, Mapping[str, Sequence[SubsetScore]]],
    results: Mapping[str, EvaluationResult],
    *,
    subset: str,
) -> Path:
    """Draw the AP of each event, the hardest at the top by the first result.

    Args:
        path: The picture to write.
        scores: From `score_by_event`, for each result.
        results: The results under the same names; they say protocol and remarks.
        subset: The one that is drawn. Events where it keeps no face are left out.

    Raises:
        ConfigError: The names or the events differ, or there is no such subset.
        InputError: The file cannot be written.
        MissingDependencyError: matplotlib is not installed.
    """
    _check_names(scores, results)
    chosen: dict[str, dict[str, SubsetScore]] = {}
    for label, by_event in scores.items():
        one = {event: score for event, each in by_event.items() for score in each if score.name == subset}
        if set(one) != set(by_event) or not one:
            raise ConfigError(f"{label}: has no subset {subset!r}")
        chosen[label] = one
    first = next(iter(chosen.values()))
    if any(
        {e: s.faces for e, s in one.items()} != {e: s.faces for e, s in first.items()}
        for one in chosen.values()
    ):
        raise ConfigError("the results are of different events or faces; draw them apart")
    events = sorted(
        (event for event in first if first[event].ap is not None), key=lambda e: first[e].ap or 0.0
    )
    if not events:
        raise ConfigError(f"no event has a face in the subset {subset!r}")
    height = min(1.8 + (0.14 + 0.07 * len(chosen)) * len(events), _HIGHEST_PICTURE)
    figure, axes = _picture(8.0, height)
    _bars(
        figure,
        axes,
        {label: [one[e] for e in events] for label, one in chosen.items()},
        results,
        horizontal=True,
    )
    names = [f"{event or 'no event'} ({first[event].faces:,})" for event in events]
    axes.set_yticks(range(len(events)), names, fontsize="x-small")
    axes.invert_yaxis()
    axes.set(xlim=(0, 100.5), ylim=(len(events) - 0.4, -0.6), xlabel="AP in %")
    axes.set_title(f"{subset}: AP by event (number of faces)")
    return _save(figure, Path(path), results)


def _picture(width: float, height: float) -> tuple[Figure, Axes]:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError("drawing curves needs matplotlib: pip install matplotlib") from error
    figure = Figure(figsize=(width, height), layout="constrained")  # not pyplot: that keeps figures alive
    axes = figure.add_subplot()
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def _bars(
    figure: Figure,
    axes: Axes,
    scores: Mapping[str, Sequence[SubsetScore]],
    results: Mapping[str, EvaluationResult],
    *,
    horizontal: bool,
) -> None:
    thickness = 0.8 / len(scores)
    for number, (label, each) in enumerate(scores.items()):
        places = [place - 0.4 + (number + 0.5) * thickness for place in range(len(each))]
        values = [100 * (score.ap or 0.0) for score in each]
        colour = _COLOURS[number % len(_COLOURS)]
        name = _marked(label, results[label])
        if horizontal:
            axes.barh(places, values, thickness, color=colour, label=name)
            continue
        bars = axes.bar(places, values, thickness, color=colour, label=name)
        if len(scores) <= 2:
            axes.bar_label(bars, [score.percent for score in each], fontsize="x-small", padding=2)
    if len(scores) > 1 or not all(result.complete for result in results.values()):
        figure.legend(loc="outside upper center", ncols=min(len(scores), 4), fontsize="small")


def _legend(label: str, score: SubsetScore, result: EvaluationResult) -> str:
    return f"{_marked(label, result)}: AP {score.percent}, {score.faces:,} faces"


def _marked(label: str, result: EvaluationResult) -> str:
    return label if result.complete else f"{label} (INCOMPLETE)"


def _save(figure: Figure, path: Path, results: Mapping[str, EvaluationResult]) -> Path:
    figure.supxlabel(_below(results), fontsize="x-small", x=0.02, ha="left", wrap=True)
    with replacing(path) as part:
        figure.savefig(part, dpi=130, format=path.suffix.removeprefix(".") or "png")
    return path


def _below(results: Mapping[str, EvaluationResult]) -> str:
    """What must be read with the picture: one protocol for all or each its own, and every remark."""
    protocols = {label: result.protocol_text for label, result in results.items()}
    if len(set(protocols.values())) == 1:
        lines = [next(iter(protocols.values()))]
    else:
        lines = ["DIFFERENT PROTOCOLS"] + [f"{label}: {text}" for label, text in protocols.items()]
    lines += [f"{label}: {remark}" for label, result in results.items() for remark in result.remarks]
    return "\n".join(lines)


def _check_names(scores: Mapping[str, object], results: Mapping[str, EvaluationResult]) -> None:
    if not scores or list(scores) != list(results):
        raise ConfigError("scores and results must carry the same names, at least one")


def _safe(name: str) -> str:
    """A subset's name as part of a file name: ``height>=50`` becomes ``height_50``."""
    return re.sub(r"[^A-Za-z0-9.-]+", "_", name).strip("._") or "subset"
