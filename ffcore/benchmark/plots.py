"""A picture of a benchmark: time against AP."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ffcore.benchmark.result import BenchmarkResult, Measurement
from ffcore.errors import ConfigError, InputError, MissingDependencyError
from ffcore.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# colours that people with any colour vision tell apart (Okabe and Ito, 2008), and a second sign beside them
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_MARKERS = "os^Dv*P"
_FORMATS = (".png", ".pdf", ".svg")


def check_plot(path: str | Path) -> None:
    """Refuses a picture that cannot be written, before anything is measured for it.

    Raises:
        ConfigError: The suffix is of no format for pictures.
    """
    if Path(path).suffix.lower() not in _FORMATS:
        raise ConfigError(f"{path}: pictures are written as {', '.join(_FORMATS)}; choose one of these")


def plot_benchmark(path: str | Path, result: BenchmarkResult) -> Path:
    """Draw network time against AP, one panel per subset of the AP.

    Candidates whose files state no AP are left out.

    Args:
        path: The picture; its suffix names the format.
        result: What was measured.

    Returns:
        The path.

    Raises:
        ConfigError: The suffix is of no format for pictures.
        InputError: No file states an AP, or the picture cannot be written.
        MissingDependencyError: matplotlib is not installed.
    """
    path = Path(path)
    check_plot(path)
    known = [each for each in result.measurements if each.ap]
    subsets = list(dict.fromkeys(name for each in known for name in each.ap))
    if not known:
        raise InputError(
            f"{path}: nothing to draw, for no file states its AP (entries featherface.ap.easy and the like)"
        )
    figure, panels = _panels(len(subsets))
    highest = max(each.ms_per_image for each in known)
    for axes, subset in zip(panels, subsets, strict=True):
        for number, each in enumerate(known):
            if subset in each.ap:
                _point(axes, each, subset, number)
        axes.set(xlim=(0, 1.1 * highest), xlabel="network, ms per photo", title=subset)
        axes.margins(y=0.25)
    panels[0].set_ylabel("AP in %")
    handles = {}
    for axes in panels:
        drawn, labels = axes.get_legend_handles_labels()
        handles.update(dict(zip(labels, drawn, strict=True)))
    figure.legend(
        handles.values(), handles, loc="outside upper left", ncols=min(len(handles), 3), fontsize="small"
    )
    figure.supxlabel(_below(result, known), fontsize="x-small", x=0.02, ha="left")
    with replacing(path) as part:
        figure.savefig(part, dpi=130, format=path.suffix[1:].lower())
    return path


def _point(axes: Axes, each: Measurement, subset: str, number: int) -> None:
    axes.plot(
        each.ms_per_image,
        100 * each.ap[subset],
        _MARKERS[number // len(_COLOURS) % len(_MARKERS)],
        color=_COLOURS[number % len(_COLOURS)],
        markersize=8,
        linestyle="none",
        label=each.name,
    )
    axes.annotate(
        f"{100 * each.ap[subset]:.1f}",
        (each.ms_per_image, 100 * each.ap[subset]),
        xytext=(0, 8),
        textcoords="offset points",
        ha="center",
        fontsize="x-small",
    )


def _below(result: BenchmarkResult, known: list[Measurement]) -> str:
    """What must be read with the picture."""
    inputs = sorted({f"{each.size[0]}×{each.size[1]}" for each in known})
    runs = sorted({f"{each.backend} {each.backend_version} on {each.device}" for each in known})
    lines = [
        f"{result.machine.cpu}, {result.threads} thread{'s' * (result.threads != 1)}, {', '.join(runs)}",
        f"input {', '.join(inputs)}; median of {result.rounds} rounds",
    ]
    protocols = {each.protocol or "not stated" for each in known}
    if len(protocols) == 1:
        lines.append(f"APs as the files state them; protocol: {protocols.pop()}")
    else:
        lines.append("APs as the files state them; DIFFERENT PROTOCOLS:")
        lines += [f"  {each.name}: {each.protocol or 'not stated'}" for each in known]
    return "\n".join(lines)


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError(
            'drawing a benchmark needs matplotlib: pip install "featherface[eval]"'
        ) from error
    # not pyplot: that keeps figures alive
    figure = Figure(figsize=(max(3.4 * count, 5.2), 4.6), layout="constrained")
    panels = [figure.add_subplot(1, count, number + 1) for number in range(count)]
    for axes in panels:
        axes.grid(color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
    return figure, panels
