"""Who may know whom, checked on the source and in fresh processes."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import ffcore

ROOT = Path(__file__).parent.parent
# a program that goes into packages as it is belongs to nobody here
LIBRARY = sorted(path for path in (ROOT / "ffcore").rglob("*.py") if path.name != "usage_example.py")
COMMANDS = sorted((ROOT / "ffcli").rglob("*.py"))

FIRST = {
    "faces",
    "errors",
    "events",
    "files",
    "coco_file",
    "coordinates",
    "filetype",
    "_version",
    "distributed",
    "geometry",
    "images",
    "config",
    "results",
}
"""Parts of the library that know no network."""

ALLOWED: dict[str, set[str]] = {
    **dict.fromkeys(FIRST, FIRST),
    "models": FIRST | {"models"},
    "losses": FIRST | {"models", "losses"},
    "data": FIRST | {"data", "losses", "models"},
    "export": FIRST | {"models", "export", "detection", "evaluation", "benchmark"},
    "detection": FIRST | {"models", "detection"},
    "training": FIRST | {"models", "losses", "data", "detection", "evaluation", "training"},
    "distillation": FIRST | {"models", "losses", "data", "detection", "export", "training", "distillation"},
    "evaluation": FIRST | {"evaluation", "detection", "models"},
    "jobs": FIRST | {"detection", "jobs"},
    "benchmark": FIRST | {"models", "detection", "benchmark"},
}


def imported_modules(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    type_only = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for child in ast.walk(node)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in type_only:
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", LIBRARY, ids=name_of)
def test_the_library_knows_neither_the_commands_nor_their_tools(path: Path) -> None:
    outside = {name.partition(".")[0] for name in imported_modules(path)}
    assert not outside & {"typer", "rich", "click", "ffcli", "argparse", "tqdm"}


@pytest.mark.parametrize("path", LIBRARY, ids=name_of)
def test_the_library_never_prints_nor_exits(path: Path) -> None:
    calls = {
        ast.unparse(node.func)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    }
    assert not calls & {"print", "exit", "quit", "sys.exit", "sys.stdout.write", "sys.stderr.write", "input"}


@pytest.mark.parametrize("path", LIBRARY, ids=name_of)
def test_parts_of_the_library_only_know_earlier_parts(path: Path) -> None:
    parts = path.relative_to(ROOT / "ffcore").with_suffix("").parts
    if parts == ("__init__",):
        return
    known = {name.split(".")[1] for name in imported_modules(path) if name.startswith("ffcore.")}
    assert known <= ALLOWED[parts[0]], f"{name_of(path)} imports {known - ALLOWED[parts[0]]}"


def loaded_by(code: str, *arguments: str) -> set[str]:
    script = f"{code}\nimport sys\nprint('LOADED', *sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True, cwd=ROOT
    )
    modules = done.stdout.rpartition("LOADED ")[2].split()
    return {name.partition(".")[0] for name in modules}


def test_importing_the_library_loads_nothing_heavy() -> None:
    assert not loaded_by("import ffcore") & {"torch", "numpy", "cv2", "onnxruntime", "PIL"}


def test_the_help_of_the_program_loads_nothing_heavy() -> None:
    code = "from ffcli.app import run\nassert run(['--help']) == 0"
    assert not loaded_by(code) & {"torch", "numpy", "cv2", "onnxruntime", "PIL", "matplotlib"}


def test_images_and_detection_load_without_torch() -> None:
    assert "torch" not in loaded_by(
        "import ffcore\nffcore.FaceDetector, ffcore.read_image, ffcore.detect_sources"
    )


def test_networks_load_without_torchvision() -> None:
    code = (
        "import sys; sys.modules['torchvision'] = None\n"  # importing it raises ImportError
        "import torch, ffcore\n"
        "network = ffcore.build_network(ffcore.VARIANTS['v1'])\n"
        "network(torch.zeros(2, 3, 64, 64))"
    )
    assert "torch" in loaded_by(code)


def test_every_public_name_exists_and_says_what_it_is() -> None:
    for name in ffcore.__all__:
        value = getattr(ffcore, name)
        assert name in ("__version__", "LANDMARK_NAMES", "PROTOCOLS", "VARIANTS") or value.__doc__, name


def test_the_documentation_lists_exactly_the_public_names() -> None:
    lines = (ROOT / "docs" / "api.md").read_text(encoding="utf-8").splitlines()
    listed = {line.split("`")[1].partition("(")[0] for line in lines if line.startswith("| `")}
    assert listed == set(ffcore.__all__) - {"__version__"}
