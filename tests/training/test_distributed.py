from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from ffcore import VARIANTS, build_network, load_network, save_network
from ffcore.training.run_folder import RunFolder
from tests.training.toy_data import SIDE, write_photos

ROOT = Path(__file__).parents[2]

SCRIPT = """
import sys
from pathlib import Path
import torch
from ffcore.distributed import processes
from ffcore.training.job import train
from tests.training.toy_data import toy_config
torch.set_num_threads(1)
data, run, batch, die = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4] == "die"
config = toy_config(
    data,
    data__batch_size=batch,
    model__weights=sys.argv[5],
    train__frozen_norm=True,
    train__rate=1e-5,
    validation__ap=False,
)
with processes() as group:
    if die and group.rank == 1:
        import os, signal
        from ffcore.training.trainer import Trainer
        take = Trainer.train_batch
        def until(self, batch):
            if self.step == 3:
                os.kill(os.getpid(), signal.SIGKILL)
            return take(self, batch)
        Trainer.train_batch = until
    train(config, run, device="cpu", processes=group)
for thread in Path("/proc/self/task").glob("*/comm"):
    print("thread", thread.read_text())
"""


def launch(
    count: int, data: Path, run: Path, *, batch: int, die: bool = False
) -> subprocess.CompletedProcess[str]:
    script = run.parent / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    weights = calibrated(run.parent / "first.safetensors")
    program = [sys.executable]
    if count > 1:
        program += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    return subprocess.run(
        [*program, script, data, run, str(batch), "die" if die else "live", weights],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def calibrated(path: Path) -> Path:
    """Weights whose BatchNorms know their inputs: with fresh statistics held, hardly a gradient arrives."""
    torch.manual_seed(0)
    network = build_network(VARIANTS["v2"]).train()
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.momentum = None  # the plain average
    with torch.no_grad():
        for _ in range(4):
            network(torch.rand(4, 3, SIDE, SIDE) * 160 - 80)
    save_network(network, path)
    return path


def distance(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
    return math.sqrt(sum(float((a[key] - b[key]).double().square().sum()) for key in a))


@pytest.mark.skipif(sys.platform == "win32", reason="gloo and torchrun as used here need a POSIX system")
def test_two_processes_give_the_weights_of_one_with_the_global_batch(tmp_path: Path) -> None:
    data = write_photos(tmp_path / "data", 11)
    for count, batch in ((1, 4), (2, 2)):
        done = launch(count, data, tmp_path / f"run{count}", batch=batch)
        assert done.returncode == 0, done.stderr
        if sys.platform == "linux":
            # one that outlives the group may abort the process while the interpreter ends
            assert "thread " in done.stdout
            assert "gloo" not in done.stdout
    start = load_network(tmp_path / "first.safetensors").state_dict()
    one, two = (load_network(tmp_path / f"run{n}" / "last.safetensors").state_dict() for n in (1, 2))
    # AdamW makes a whole step of a gradient that is mere rounding, so single weights may differ by one
    assert distance(one, two) < 0.02 * distance(one, start)
    first, second = (RunFolder(tmp_path / f"run{n}").read_record() for n in (1, 2))
    assert [line["kind"] for line in first] == [line["kind"] for line in second]
    for a, b in zip(first, second, strict=True):
        if a["kind"] == "step":
            assert a["total"] == pytest.approx(b["total"], rel=1e-4)
            assert a["gradient_norm"] == pytest.approx(b["gradient_norm"], rel=1e-2)


@pytest.mark.skipif(sys.platform == "win32", reason="likewise")
def test_a_process_that_dies_ends_the_others_and_leaves_a_checkpoint(tmp_path: Path) -> None:
    data = write_photos(tmp_path / "data", 11)
    done = launch(2, data, tmp_path / "run", batch=2, die=True)
    assert done.returncode != 0
    state = RunFolder(tmp_path / "run").read_checkpoint()
    assert state is not None
    assert state["trainer"]["step"] == 2  # the end of the first epoch, of which each has two batches
