"""An evaluation as a folder of pictures, so that a person can look rather than read."""

from __future__ import annotations

import html
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ffcore.errors import ConfigError, ImageError
from ffcore.evaluation.job import Evaluation
from ffcore.evaluation.plots import plot_by_event, plot_by_height, plot_curves
from ffcore.evaluation.predict import find_photos
from ffcore.evaluation.result import EvaluationResult
from ffcore.evaluation.scoring import score_by_event, score_by_height
from ffcore.evaluation.worst import ImageErrors, worst_images
from ffcore.files import write_text
from ffcore.images.decode import read_image
from ffcore.images.encode import write_image

SURE = 0.5
"""Score from which a box counts on the page of the worst images, as in use."""

MISSED, FALSE = (60, 60, 230), (0, 170, 255)
"""Red for faces without a box, orange for boxes without a face; BGR."""


def write_report(
    folder: str | Path,
    evaluation: Evaluation,
    *,
    label: str = "this result",
    others: Mapping[str, EvaluationResult] | None = None,
    data: str | Path | None = None,
    worst: int = 20,
) -> list[Path]:
    """Draws an evaluation.

    Args:
        folder: Gets the pictures and, with `data`, ``worst.html``; made if missing.
        evaluation: The one to draw.
        label: Its name in the legends.
        others: Stored results that are drawn over it, by label.
        data: The photos, for the page of the worst images.
        worst: How many images that page shows.

    Returns:
        The files.

    Raises:
        ConfigError: A label comes twice.
        InputError: A stored result has no curves, or a file cannot be written.
        MissingDependencyError: matplotlib is not installed.
    """
    folder = Path(folder)
    if label in (others or {}):
        raise ConfigError(f"two results are called {label!r}; rename the stored file")
    results = {label: evaluation.result, **(others or {})}
    hardest = evaluation.result.subsets[-1].name
    alone = {label: evaluation.result}
    files = [
        *plot_curves(folder, results),
        plot_by_height(
            folder / "ap_by_height.png", {label: score_by_height(evaluation.matched, within=hardest)}, alone
        ),
        plot_by_event(
            folder / "ap_by_event.png", {label: score_by_event(evaluation.matched)}, alone, subset=hardest
        ),
    ]
    if data is not None:
        files.append(_write_worst(folder, evaluation, hardest, data, worst))
    return files


def _write_worst(folder: Path, evaluation: Evaluation, subset: str, data: str | Path, count: int) -> Path:
    errors = worst_images(evaluation.matched, subset, at_score=SURE, most=count)
    photos = find_photos(data, [each.image for each in errors])
    figures = []
    for number, each in enumerate(errors, start=1):
        caption = f"{each.image}: {len(each.missed)} missed, {len(each.false)} false"
        picture = f"worst/{number:02d}.jpg"
        try:
            photo = read_image(photos[each.image])
        except (KeyError, ImageError):
            figures.append(f"<figure><figcaption>{html.escape(caption)} (no photo)</figcaption></figure>")
            continue
        write_image(folder / picture, _drawn(photo, each), quality=85)
        figures.append(
            f'<figure><img src="{picture}" alt="{html.escape(caption)}" loading="lazy">'
            f"<figcaption>{html.escape(caption)}</figcaption></figure>"
        )
    remarks = "; ".join([evaluation.result.protocol_text, *evaluation.result.remarks])
    page = folder / "worst.html"
    write_text(
        page, _PAGE.format(subset=html.escape(subset), remarks=html.escape(remarks), body="\n".join(figures))
    )
    return page


def _drawn(photo: NDArray[np.uint8], errors: ImageErrors) -> NDArray[np.uint8]:
    drawn = photo.copy()
    stroke = max(1, round(max(photo.shape[:2]) / 1000))
    for colour, boxes in ((MISSED, errors.missed), (FALSE, errors.false)):
        for x, y, w, h in np.rint(boxes).astype(int):
            cv2.rectangle(drawn, (int(x), int(y)), (int(x + w), int(y + h)), colour, stroke, cv2.LINE_AA)
    return drawn


_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>The worst images</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2rem auto; padding: 0 1rem;
  color: #222; background: #fff }}
figure {{ margin: 2rem 0 }}
img {{ max-width: 100%; height: auto }}
.missed {{ color: #c22 }} .false {{ color: #b60 }}
@media (prefers-color-scheme: dark) {{ body {{ color: #ddd; background: #181818 }} }}
</style>
<h1>The worst images</h1>
<p><span class="missed">Red: a face of the subset {subset} without a box.</span>
<span class="false">Orange: a box without a face.</span> Boxes of score 0.5 and more. {remarks}</p>
{body}
</html>
"""
