"""An ONNX file that a runtime has opened, whatever the runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from ffcore import filetype
from ffcore.errors import CheckpointError


@dataclass(frozen=True)
class TensorInfo:
    """What a file says about one of its inputs or outputs.

    Args:
        name: Its name.
        shape: A number where a dimension is fixed, otherwise a name or None.
        type: Of the elements, in NumPy's words: "float32".
    """

    name: str
    shape: tuple[int | str | None, ...]
    type: str


class GraphSession(Protocol):
    """A graph that is ready to run; may be called from several threads at once."""

    @property
    def library(self) -> str:
        """The runtime: "onnxruntime" or "openvino"."""

    @property
    def device(self) -> str:
        """What really computes, in short: "cpu", "cuda"."""

    @property
    def provider(self) -> str:
        """The same in the runtime's own words."""

    @property
    def inputs(self) -> Sequence[TensorInfo]:
        """In the order of the file."""

    @property
    def outputs(self) -> Sequence[TensorInfo]:
        """In the order of the file."""

    @property
    def metadata(self) -> Mapping[str, str]:
        """All entries of the file."""

    def run(self, feeds: Mapping[str, NDArray[Any]], outputs: Sequence[str] = ()) -> list[NDArray[Any]]:
        """Runs the graph.

        Args:
            feeds: By the names of the inputs.
            outputs: Names of what is wanted, in this order; all when empty.

        Raises:
            Exception: Whatever the runtime raises; the runtimes have no family of errors in common.
        """


def require_onnx_file(path: Path) -> None:
    """Refuses what is evidently no ONNX file, in words that say what it is.

    Raises:
        CheckpointError: It cannot be read, or is of another kind.
    """
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        raise CheckpointError(path, f"cannot be read: {error.strerror}") from None
    kind = filetype.describe(head)
    if kind is not None and not filetype.is_onnx(head):
        raise CheckpointError(path, f"an ONNX file was expected, this is {kind}")
