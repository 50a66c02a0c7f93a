"""What goes wrong on one of several processes is known to all of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ffcore.distributed import Processes
from ffcore.errors import InputError
from ffcore.evaluation.ground_truth import GroundTruth
from ffcore.evaluation.job import evaluate_detector
from ffcore.evaluation.predict import begin_run
from ffcore.evaluation.protocols import protocol
from tests.detection.toys import toy_onnx

NOBODY = GroundTruth(images=(), boxes=np.zeros((0, 4)), offsets=np.zeros(1, np.int64), kept={})


@dataclass(frozen=True)
class OneOfTwo(Processes):
    """A process whose partner is played by a list.

    Args:
        partner: What the other one hands over, time after time.
        handed: What this one has handed over.
    """

    count: int = 2
    partner: list[Any] = field(default_factory=list)
    handed: list[Any] = field(default_factory=list)

    def gather(self, value: Any) -> list[Any]:
        self.handed.append(value)
        other = self.partner[len(self.handed) - 1]
        return [value, other] if self.first else [other, value]


def test_every_process_learns_that_the_folder_is_of_another_run(tmp_path: Path) -> None:
    begin_run(tmp_path / "out", {"model": "another"})
    model = toy_onnx(tmp_path / "toy.onnx")
    first = OneOfTwo(rank=0, partner=[[]])
    with pytest.raises(InputError, match="another run") as told:
        evaluate(first, model, tmp_path)
    second = OneOfTwo(rank=1, partner=[first.handed[0]])
    with pytest.raises(InputError) as heard:
        evaluate(second, model, tmp_path)
    assert str(heard.value) == str(told.value)
    assert second.handed == [[]]  # nothing went wrong here


def evaluate(processes: Processes, model: Path, folder: Path) -> None:
    evaluate_detector(
        model,
        protocol("original"),
        data=folder,
        ground_truth=NOBODY,
        folder=folder / "out",
        device="cpu",
        processes=processes,
    )
