from __future__ import annotations

from datetime import timedelta

import pytest
import torch.distributed

from ffcore.distributed import Processes, processes


def test_processes_meet_by_gloo_and_wait_long_for_one_that_validates_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: list[tuple[str, timedelta]] = []
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr(
        torch.distributed, "init_process_group", lambda backend, *, timeout: given.append((backend, timeout))
    )
    monkeypatch.setattr(
        torch.distributed, "destroy_process_group", lambda: given.append(("end", timedelta()))
    )
    with processes() as group:
        assert group == Processes(1, 2)
        ((backend, timeout),) = given
    assert backend == "gloo"
    assert timeout >= timedelta(hours=2)
    assert given[-1][0] == "end"
