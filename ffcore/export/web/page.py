"""A folder for any static host: a page that finds faces on the visitor's device."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ffcore.detection.facts import PREFIX, DetectorFacts
from ffcore.detection.loading import tensors_file
from ffcore.detection.options import DetectorOptions
from ffcore.errors import CheckpointError, ConfigError
from ffcore.export.job import Exported, export
from ffcore.export.options import EndToEndOptions, ExportOptions
from ffcore.export.parity import Case
from ffcore.export.web.npm import NpmPackage
from ffcore.export.web.runtime import ONNXRUNTIME_WEB, PackedBuild, read_runtime
from ffcore.export.web.settings import PROGRAM, page_settings
from ffcore.files import write_bytes
from ffcore.models.weights import Checkpoint, read_checkpoint

LOWEST_SCORE = 0.05
"""Where the slider ends: below, photos of nothing are full of faces."""

MODEL = "model.onnx"
SETTINGS = "settings.json"

_FILES = Path(__file__).with_name("files")


@dataclass(frozen=True)
class WebPage:
    """A page that was written.

    Args:
        folder: Where it lies.
        model: The graph in it, and how it compares with its source.
        sizes: Bytes of each file by its path within the folder.
        on_request: Those of them that a visitor only fetches by choosing the graphics chip.
    """

    folder: Path
    model: Exported
    sizes: dict[str, int]
    on_request: tuple[str, ...]

    @property
    def first_visit(self) -> int:
        """Bytes that a first visit transfers from a host that packs nothing; later ones have a cache."""
        return sum(size for name, size in self.sizes.items() if name not in (*self.on_request, "NOTICE.txt"))

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON knows it."""
        return {
            **self.model.to_dict(),
            "path": str(self.folder),
            "format": "web",
            "bytes": sum(self.sizes.values()),
            "first_visit": self.first_visit,
            "files": self.sizes,
        }


def write_page(
    source: str | Path,
    folder: str | Path,
    *,
    score: float | None = None,
    nms: float | None = None,
    max_faces: int | None = None,
    runtime: Path | None = None,
    package: NpmPackage = ONNXRUNTIME_WEB,
    compared_on: Iterable[Case] | None = None,
) -> WebPage:
    """Writes the page with a network in it.

    The graph is end to end, as `ffcore.export.export` writes and compares it, with the lowest score of the
    page's slider inside. What the page does around it is what `ffcore.detection.FaceDetector` does.

    Args:
        source: A file of weights (.pth, .safetensors), or the name of weights that come with the package.
        folder: Made when missing; an older page in it is replaced, other files stay.
        score: Where the slider stands at first; by default what the weights recommend.
        nms: As in `DetectorOptions`; by default what the weights recommend.
        max_faces: As in `DetectorOptions`.
        runtime: See `ffcore.export.web.runtime.read_runtime`.
        package: Which runtime; for tests.
        compared_on: See `ffcore.export.export`.

    Raises:
        ConfigError: A threshold is impossible, or the folder holds somebody else's page.
        CheckpointError: The source cannot be read.
        UnknownModelError: There are no weights of that name.
        ParityError: The graph differs from its source.
        ExportError: The exporter failed.
        InputError: The runtime cannot be fetched or read, or the folder cannot be written.
    """
    folder = Path(folder)
    _require_ours(folder)
    checkpoint = read_checkpoint(tensors_file(source))
    options = _options(checkpoint, score=score, nms=nms, max_faces=max_faces)
    builds = read_runtime(runtime, package=package)
    inside = EndToEndOptions(
        score=min(LOWEST_SCORE, options.score), nms=options.nms, max_faces=options.max_faces
    )
    model = export(
        source,
        folder / MODEL,
        options=ExportOptions(end_to_end=inside),
        compared_on=compared_on,
    )
    settings = page_settings(
        options,
        lowest_score=min(LOWEST_SCORE, options.score),
        model=MODEL,
        model_size=model.size,
        runtimes=builds,
        about=_about(checkpoint, package),
    )
    contents = _contents(settings, builds)
    for name, content in contents.items():
        write_bytes(folder / name, content)
    sizes = {MODEL: model.size, **{name: len(content) for name, content in contents.items()}}
    return WebPage(folder, model, sizes, tuple(builds["webgpu"].contents))


def _contents(settings: dict[str, Any], builds: dict[str, PackedBuild]) -> dict[str, bytes]:
    """Everything but the graph, ``index.html`` last: a page that is there is whole."""
    contents = {path.name: path.read_bytes() for path in sorted(_FILES.iterdir()) if path.is_file()}
    index = contents.pop("index.html")
    for build in builds.values():
        contents.update(build.contents)
    contents[SETTINGS] = json.dumps(settings, indent=1).encode()
    return {**contents, "index.html": index}


def _options(
    checkpoint: Checkpoint, *, score: float | None, nms: float | None, max_faces: int | None
) -> DetectorOptions:
    """What was asked for, else what the weights recommend, else the library's choice."""
    known = {f"{PREFIX}{key}": value for key, value in checkpoint.facts.items()}
    try:
        facts = DetectorFacts.from_metadata(known)
    except ConfigError as error:
        raise CheckpointError(checkpoint.name, str(error)) from None
    chosen: dict[str, Any] = {
        "score": facts.score_threshold if score is None else score,
        "nms": facts.nms_threshold if nms is None else nms,
        "max_faces": max_faces,
    }
    return DetectorOptions(**{name: value for name, value in chosen.items() if value is not None})


def _about(checkpoint: Checkpoint, package: NpmPackage) -> str:
    count = sum(parameter.numel() for parameter in checkpoint.network().parameters())
    return f"FeatherFace {checkpoint.name}, {count:,} parameters, run by ONNX Runtime Web {package.version}."


def _require_ours(folder: Path) -> None:
    """Refuses to write over a page that this program did not write."""
    if not (folder / "index.html").exists():
        return
    try:
        made_by = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))["made_by"]
    except (OSError, ValueError, KeyError, TypeError):
        made_by = ""
    if not str(made_by).startswith(PROGRAM.split()[0]):
        raise ConfigError(
            f"{folder}: holds an index.html that is no page of this program; name another folder"
        )
