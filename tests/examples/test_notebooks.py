"""The notebooks are run from top to bottom, in their short form, as Jupyter runs them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "examples" / "notebooks").glob("*.ipynb"))


def test_there_are_notebooks_for_v1_for_v2_and_for_both() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["compare_v1_v2", "distil_v2", "train_v1"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_small_and_without_outputs(path: Path) -> None:
    assert path.stat().st_size < 20_000
    for cell in json.loads(path.read_text("utf-8"))["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat = pytest.importorskip("nbformat", reason="nbformat, nbclient and ipykernel run notebooks")
    nbclient = pytest.importorskip("nbclient", reason="nbformat, nbclient and ipykernel run notebooks")
    pytest.importorskip("ipykernel", reason="nbformat, nbclient and ipykernel run notebooks")
    monkeypatch.setenv("FEATHERFACE_SHORT", "1")
    monkeypatch.setenv("PYTHONPATH", f"{path.parents[2]}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    done = nbclient.NotebookClient(
        notebook, timeout=None, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}
    ).execute()
    shown = "".join(
        str(output.get("text", "")) + str(output.get("data", {}).get("text/plain", ""))
        for cell in done.cells
        for output in cell.get("outputs", [])
    )
    assert "height>=" in shown  # the average precisions at the end
    assert any(
        "image/png" in output.get("data", {}) for cell in done.cells for output in cell.get("outputs", [])
    )
