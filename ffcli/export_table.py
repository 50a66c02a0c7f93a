"""An export as tables: the file, and how it compares with its source."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ffcli.render import console_for

if TYPE_CHECKING:
    from ffcore.export.face_agreement import FaceAgreement
    from ffcore.export.job import Exported
    from ffcore.export.quantised import Quantised
    from ffcore.export.web.page import WebPage
    from ffcore.models.pruning import Pruned


def print_export(done: Exported, *, inside: bool = True) -> None:
    """The file, and everything that was measured of it.

    Args:
        done: What was written.
        inside: Whether the thresholds in an end-to-end graph are those that count.
    """
    console = console_for("stdout")
    console.print(Text(f"{done.path}: {done.network} as {done.format}, {done.size / 1e6:.2f} MB"))
    if done.pruned is not None:
        _print_pruned(console, done.pruned)
    if not done.differences:
        console.print(Text("every tensor was read back and equals its source", style="dim"))
        return
    console.print(Text("largest differences from torch:", style="dim"))
    console.print(_parity(done))
    if done.half is not None:
        _print_half(console, done.half)
    if done.quantised is not None:
        _print_quantised(console, done.quantised, done.size)
    if done.faces:
        faces, unmatched = (
            sum(getattr(found, name) for found in done.faces) for name in ("faces", "unmatched")
        )
        console.print(
            Text(f"end to end: {faces:,} faces as the library finds them, {unmatched} by only one of the two")
        )
    if inside and (fixed := done.end_to_end) is not None:
        console.print(
            Text(
                f"inside: score above {fixed.score:g}, NMS above an IoU of {fixed.nms:g}, at most "
                f"{fixed.max_faces:,} faces"
            )
        )


def print_page(done: WebPage) -> None:
    """The network in a web page, and what a visit transfers."""
    print_export(done.model, inside=False)  # its slider decides
    size = f"{done.first_visit / 1e6:.2f} MB"
    console = console_for("stdout")
    console.print(Text(f"{done.folder}: a page for any static host; a first visit transfers {size}"))


def _table(*columns: str, text_first: bool = False) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if text_first and not number else "right")
    return table


def _parity(done: Exported) -> Table:
    table = _table("images", "size", "boxes", "probabilities", "landmarks")
    for found in done.differences:
        case = found.case
        numbers = (f"{value:.1e}" for value in (found.boxes, found.classes, found.landmarks))
        table.add_row(str(case.batch), f"{case.height}×{case.width}", *numbers)
    allowed = done.tolerance
    table.add_section()
    table.add_row("", "allowed", f"{allowed.boxes:.0e}", f"{allowed.classes:.0e}", f"{allowed.landmarks:.0e}")
    return table


def _print_half(console: Console, half: FaceAgreement) -> None:
    from ffcore.export.face_agreement import HALF

    console.print(
        Text(
            f"float16, {half.faces} faces on {half.photos} photos: scores within {half.score:.1e} "
            f"({HALF.score:g} allowed), boxes within {half.box:.1e} of their side ({HALF.box:g} allowed), "
            f"{half.lost} faces come or go"
        )
    )


def _print_quantised(console: Console, found: Quantised, size: int) -> None:
    console.print()
    groups = _table("layers", "convolutions", "% of weights", "AP points", "numbers", text_first=True)
    for group in found.groups:
        kind = "int8" if group.quantised else "float32"
        lost = "" if group.lost is None else f"{group.lost:.2f}"
        groups.add_row(group.name, str(len(group.nodes)), f"{100 * group.share:.1f}", lost, kind)
    groups.add_section()
    groups.add_row("expected of those in int8", "", "", f"{found.expected:.2f}", "")
    console.print(groups)
    console.print()
    table = _table("", "float32", "int8", "", text_first=True)
    accuracy, speed = found.accuracy, found.speed
    for name, before in accuracy.before.items():
        points = f"{-accuracy.drops[name]:+.2f}"
        table.add_row(f"AP {name}", f"{100 * before:.2f}", f"{100 * accuracy.after[name]:.2f}", points)
    ratio = f"× {speed.after / speed.before:.2f}"
    table.add_row(
        f"ms at {speed.size[0]}×{speed.size[1]}", f"{speed.before:.2f}", f"{speed.after:.2f}", ratio
    )
    table.add_row("MB", f"{found.bytes_before / 1e6:.2f}", f"{size / 1e6:.2f}", "")
    console.print(table)
    load = "" if speed.load is None else f", load {speed.load:.2f} before"
    threads = "1 thread" if speed.threads == 1 else f"{speed.threads} threads"
    console.print(
        Text(
            f"AP: {accuracy.photos} photos, {accuracy.truth}; time: {speed.cpu}, {threads}{load}", style="dim"
        )
    )
    if found.note:
        console.print(Text(found.note))


def _print_pruned(console: Console, pruned: Pruned) -> None:
    before, after = pruned.parameters_before, pruned.parameters_after
    console.print(
        Text(
            f"pruned: {before:,} to {after:,} parameters ({100 * (1 - after / before):.1f} % less), width "
            f"{pruned.width_before} to {pruned.width_after}"
        )
    )
    console.print(
        Text(
            f"train it further: --init FILE --set 'model.settings=[\"out_channel={pruned.width_after}\"]'",
            style="dim",
        )
    )
