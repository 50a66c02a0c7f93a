from __future__ import annotations

import pytest
import torch

from ffcore.models.blocks.dropblock import DropBlock


@pytest.mark.parametrize("share", [0.05, 0.1, 0.3])
def test_as_many_cells_are_left_out_as_was_asked_for(share: float) -> None:
    torch.manual_seed(0)
    out = DropBlock(share)(torch.ones(8, 16, 40, 40))
    assert float((out == 0).float().mean()) == pytest.approx(share, abs=0.02)
    assert float(out.mean()) == pytest.approx(1.0, abs=1e-4)


def test_what_is_left_out_are_whole_patches() -> None:
    torch.manual_seed(1)
    hidden = (DropBlock(0.05, 3)(torch.ones(1, 1, 60, 60)) == 0)[0, 0]
    whole = hidden.unfold(0, 3, 1).unfold(1, 3, 1).flatten(2).all(dim=2)
    covered = torch.zeros_like(hidden)
    for y, x in whole.nonzero().tolist():
        covered[y : y + 3, x : x + 3] = True
    inside = torch.zeros_like(hidden)
    inside[2:-2, 2:-2] = True  # at the border a patch is cut
    assert hidden.any()
    assert torch.equal(hidden & inside, covered & inside & hidden)
    assert bool((covered | ~inside | ~hidden).all())


def test_nothing_is_left_out_in_use_nor_on_maps_smaller_than_a_patch() -> None:
    x = torch.randn(2, 4, 8, 8)
    assert torch.equal(DropBlock(0.5).eval()(x), x)
    assert torch.equal(DropBlock(0.5)(x[..., :2]), x[..., :2])
    assert torch.equal(DropBlock(0.0)(x), x)
