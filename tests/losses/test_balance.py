from __future__ import annotations

from dataclasses import replace

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ffcore.geometry.anchors import PUBLISHED
from ffcore.losses import AnchorGrid, MultiBoxConfig, Targets
from tests.losses.faces import GRID, matches_of, random_boxes, rows_of, some_outputs
from tests.losses.test_alternatives import every_config, gradients


@given(
    height=st.integers(32, 300),
    width=st.integers(32, 300),
    balance=st.sampled_from([0.0, 0.3, 0.5, 1.0, 2.0]),
)
@settings(max_examples=25, deadline=None)
def test_an_anchor_counts_by_its_side_in_pixels_whatever_the_image(
    height: int, width: int, balance: float
) -> None:
    grid = AnchorGrid.of(height, width)
    found = grid.importance(balance)
    for level, sizes in zip(grid.levels, PUBLISHED.min_sizes, strict=True):
        rows = found[level.start : level.start + len(level)].view(-1, level.sizes)
        wanted = torch.tensor([(side / 32) ** balance for side in sizes])
        torch.testing.assert_close(rows, wanted.expand_as(rows), rtol=1e-4, atol=0)


@every_config
@given(seed=st.integers(0, 10_000), count=st.integers(1, 6), balance=st.sampled_from([0.5, 1.0]))
@settings(max_examples=8, deadline=None)
def test_each_anchor_has_its_importance_as_a_factor_in_terms_and_divisors(
    config: MultiBoxConfig, seed: int, count: int, balance: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    boxes = random_boxes(generator, count, 0.9)
    unknown = -torch.ones(count)
    unknown[0] = 1  # a divisor of its own for landmarks
    targets = Targets.from_rows([rows_of(boxes), rows_of(boxes / 2, unknown), torch.zeros(0, 15)])
    outputs = some_outputs(3, seed=seed)

    face, positive = matches_of(config, outputs, targets)
    known = positive & targets.has_landmarks.gather(1, face)
    weight = GRID.importance(balance)

    _, plain = gradients(config, outputs, targets)
    _, found = gradients(replace(config, size_balance=balance), outputs, targets)
    for index, (before, after) in enumerate(zip(plain, found, strict=True)):
        counted = (known if index == 2 else positive).float()
        was, now = counted.sum().clamp(min=1), (counted * weight).sum().clamp(min=1)
        torch.testing.assert_close(after * now, before * was * weight[:, None], rtol=1e-4, atol=1e-6)
