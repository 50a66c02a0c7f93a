from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.multiprocessing.spawn import spawn

from ffcore.distributed import Processes
from ffcore.losses import MultiBoxConfig, MultiBoxLoss, Targets
from ffcore.models.blocks.heads import RawOutputs
from tests.losses.faces import GRID, rows_of, some_outputs

FACES = torch.tensor([[0.1, 0.1, 0.4, 0.4], [0.6, 0.6, 0.9, 0.9], [0.2, 0.5, 0.3, 0.7]])
# many faces here, none there; landmarks on one side only
ROWS = [
    rows_of(FACES),
    rows_of(FACES[:2], torch.tensor([1.0, -1.0])),
    rows_of(FACES[2:], torch.tensor([-1.0])),
]
ROWS += [torch.zeros(0, 15)]
CONFIGS = [
    MultiBoxConfig(),
    MultiBoxConfig(matching="atss", box_loss="ciou", class_loss="focal"),
    MultiBoxConfig(class_loss="quality-focal"),
    MultiBoxConfig(size_balance=0.5),
]


@dataclass(frozen=True)
class Meeting(Processes):
    """Two processes whose values are written down beforehand, so that one can play both in turn."""

    values: tuple[Tensor, ...] = ()

    def average(self, value: Tensor) -> Tensor:
        assert any(torch.equal(value, known) for known in self.values)
        return torch.stack(self.values).mean(dim=0)


class Noting(Processes):
    """Keeps what was to be averaged."""

    def average(self, value: Tensor) -> Tensor:
        notes.append(value)
        return value


notes: list[Tensor] = []


def gradients(loss: MultiBoxLoss, outputs: RawOutputs, rows: list[Tensor]) -> tuple[float, list[Tensor]]:
    leaves = RawOutputs(*(tensor.clone().requires_grad_() for tensor in outputs))
    terms = loss(leaves, Targets.from_rows(rows), GRID)
    terms.total.backward()  # type: ignore[no-untyped-call]
    return float(terms.total.detach()), [leaf.grad for leaf in leaves if leaf.grad is not None]


def parts(outputs: RawOutputs) -> list[RawOutputs]:
    return [RawOutputs(*(tensor[i : i + 2] for tensor in outputs)) for i in (0, 2)]


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("rows", [ROWS, ROWS[:2] + 2 * ROWS[3:], 4 * ROWS[3:]])
def test_the_mean_over_processes_is_the_loss_of_one_with_all_images(
    config: MultiBoxConfig, rows: list[Tensor]
) -> None:
    outputs = some_outputs(4)
    total, wanted = gradients(MultiBoxLoss(config), outputs, rows)
    notes.clear()
    for i, part in enumerate(parts(outputs)):
        gradients(MultiBoxLoss(config, processes=Noting()), part, rows[2 * i : 2 * i + 2])
    shared = tuple(notes)
    results = []
    for i, part in enumerate(parts(outputs)):
        loss = MultiBoxLoss(config, processes=Meeting(i, 2, shared))
        results.append(gradients(loss, part, rows[2 * i : 2 * i + 2]))
    assert sum(value for value, _ in results) / 2 == pytest.approx(total, rel=1e-5, abs=1e-7)
    for k, gradient in enumerate(wanted):
        # with images side by side the mean of the processes' gradients is half of each one's
        torch.testing.assert_close(torch.cat([found[k] for _, found in results]) / 2, gradient)


def _work(rank: int, meeting: str, answer: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
    loss = MultiBoxLoss(processes=Processes(rank, 2))
    result = gradients(loss, parts(some_outputs(4))[rank], ROWS[2 * rank : 2 * rank + 2])
    torch.save(result, f"{answer}{rank}")
    torch.distributed.destroy_process_group()


@pytest.mark.skipif(sys.platform != "linux", reason="gloo meets through a file")
def test_two_real_processes_agree_with_one(tmp_path: Path) -> None:
    spawn(_work, (str(tmp_path / "meeting"), str(tmp_path / "answer")), nprocs=2)
    total, wanted = gradients(MultiBoxLoss(), some_outputs(4), ROWS)
    results = [torch.load(tmp_path / f"answer{rank}", weights_only=True) for rank in range(2)]
    assert sum(value for value, _ in results) / 2 == pytest.approx(total, rel=1e-5)
    for k, gradient in enumerate(wanted):
        torch.testing.assert_close(torch.cat([found[k] for _, found in results]) / 2, gradient)
