from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ffcore.errors import ConfigError
from ffcore.geometry import pairwise_iou
from ffcore.losses import (
    AnchorGrid,
    LossTerms,
    MultiBoxConfig,
    MultiBoxLoss,
    Targets,
    hardest_negatives,
    match_anchors,
)
from ffcore.models.blocks.heads import RawOutputs
from tests.losses.faces import (
    GRID,
    dense_coverage,
    dense_iou,
    rows_of,
    some_outputs,
    targets_of,
    varied_boxes,
)

CASES = ["one_face", "twenty_faces", "no_landmarks", "zero_size_box", "no_faces", "faces_300"]
EXTRA = ["zero_only", "tiny_steals_anchor"]


def literal_matching(boxes: Tensor, grid: AnchorGrid, threshold: float) -> list[int]:
    """The published rules for one image, anchor by anchor: index of the face, or −1."""
    iou = dense_iou(boxes, grid)
    if not len(boxes) or iou.max() < 0.2:
        return [-1] * len(grid)
    face = iou.argmax(dim=0).tolist()
    overlap = iou.amax(dim=0).tolist()
    for g in range(len(boxes)):
        if iou[g].max() >= 0.2:
            overlap[int(iou[g].argmax())] = 2.0
    for g in range(len(boxes)):
        face[int(iou[g].argmax())] = g
    return [f if o >= threshold else -1 for f, o in zip(face, overlap, strict=True)]


sizes = st.sampled_from([(128, 128), (90, 160), (20, 70), (1, 1), (320, 200)])
thresholds = st.sampled_from([0.35, 0.35, 0.001, 0.1, 0.5, 0.9])


@given(seed=st.integers(0, 100_000), count=st.integers(0, 20), size=sizes, threshold=thresholds)
@settings(max_examples=150, deadline=None)
def test_batched_matching_is_the_published_one_face_by_face(
    seed: int, count: int, size: tuple[int, int], threshold: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    grid = AnchorGrid.of(*size)
    images = [varied_boxes(generator, n, grid) for n in (count, 3, 0, 1)]
    matches = match_anchors(targets_of(*images), grid, threshold=threshold)
    found = torch.where(matches.positive, matches.face, -1).tolist()
    assert found == [literal_matching(boxes, grid, threshold) for boxes in images]
    assert ((matches.face >= 0) & (matches.face < max(1, 2 * count, 6))).all()


def outputs_from(gold: dict[str, np.ndarray], case: str) -> RawOutputs:
    return RawOutputs(*(torch.from_numpy(gold[f"{case}/{name}"]) for name in ("loc", "conf", "landm")))


def check_terms(terms: LossTerms, gold: dict[str, np.ndarray], case: str) -> None:
    names = ("loss_l", "loss_c", "loss_landm", "total")
    found = (terms.box, terms.classification, terms.landmark, terms.total)
    for name, value in zip(names, found, strict=True):
        assert float(value.detach()) == pytest.approx(float(gold[f"{case}/{name}"]), rel=1e-5, abs=1e-6), name


@pytest.mark.reference
@pytest.mark.parametrize("case", [*CASES, *EXTRA])
def test_golden_matches_losses_and_gradients(case: str, reference: Path) -> None:
    gold = np.load(reference / "golden" / "multibox.npz")
    np.testing.assert_array_equal(GRID.table.numpy(), gold["priors"])
    targets = Targets.from_rows([torch.from_numpy(gold[f"{case}/targets"])])
    outputs = RawOutputs(*(tensor.requires_grad_() for tensor in outputs_from(gold, case)))

    matches = match_anchors(targets, GRID)
    found = torch.where(matches.positive[0], matches.face[0], -1).numpy()
    wanted = gold[f"{case}/matched_gt"]
    dropped = (gold[f"{case}/targets"][:, 2:4] <= gold[f"{case}/targets"][:, :2]).any(axis=1)
    renumbered = np.cumsum(~dropped) - 1  # faces without area are left out here
    wanted = np.where(wanted >= 0, renumbered[np.maximum(wanted, 0)] if len(dropped) else -1, -1)
    np.testing.assert_array_equal(found, wanted)

    terms = MultiBoxLoss()(outputs, targets, GRID)
    check_terms(terms, gold, case)
    terms.total.backward()
    for tensor, name in zip(outputs, ("loc", "conf", "landm"), strict=True):
        gradient = torch.zeros_like(tensor) if tensor.grad is None else tensor.grad
        np.testing.assert_allclose(gradient.numpy(), gold[f"{case}/grad_{name}"], rtol=1e-5, atol=1e-7)


@pytest.mark.reference
@pytest.mark.parametrize("case", CASES)
def test_golden_class_loss_with_three_negatives_per_positive(case: str, reference: Path) -> None:
    gold = np.load(reference / "golden" / "multibox.npz")
    targets = Targets.from_rows([torch.from_numpy(gold[f"{case}/targets"])])
    loss = MultiBoxLoss(MultiBoxConfig(negatives_per_positive=3))
    terms = loss(outputs_from(gold, case), targets, GRID)
    assert float(terms.classification) == pytest.approx(float(gold[f"{case}/loss_c_negpos3"]), rel=1e-5)


@pytest.mark.reference
def test_golden_batch_shares_one_count_of_positives(reference: Path) -> None:
    gold = np.load(reference / "golden" / "multibox.npz")
    targets = Targets.from_rows([torch.from_numpy(gold[f"{case}/targets"]) for case in CASES])
    parts = [outputs_from(gold, case) for case in CASES]
    outputs = RawOutputs(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))
    check_terms(MultiBoxLoss()(outputs, targets, GRID), gold, "batch6")


def test_a_box_without_area_never_makes_the_loss_infinite() -> None:
    """The published loss is infinite here: the empty box takes anchor 0, which another face matches."""
    rows = torch.cat(
        [torch.tensor([[0, 0, 12 / 128, 12 / 128], [0.5, 0.5, 0.5, 0.5]]), torch.zeros(2, 11)], dim=1
    )
    rows[:, 14] = 1
    outputs = RawOutputs(torch.zeros(1, 672, 4), torch.zeros(1, 672, 2), torch.zeros(1, 672, 10))
    terms = MultiBoxLoss()(outputs, Targets.from_rows([rows]), GRID)
    assert all(torch.isfinite(term) for term in terms)
    assert terms.box > 0


def test_a_batch_without_faces_costs_nothing_and_still_has_gradients() -> None:
    logits = torch.randn(2, 672, 2, requires_grad=True)
    outputs = RawOutputs(torch.randn(2, 672, 4), logits, torch.randn(2, 672, 10))
    terms = MultiBoxLoss()(outputs, Targets.from_rows([torch.zeros(0, 15)] * 2), GRID)
    assert float(terms.total.detach()) == 0
    terms.total.backward()
    assert logits.grad is not None
    assert not logits.grad.any()


def test_landmarks_that_are_unknown_never_reach_the_loss() -> None:
    boxes = torch.tensor([[0.2, 0.2, 0.6, 0.6]])
    rows = rows_of(boxes, torch.tensor([-1.0]))
    rows[:, 4:14] = float("nan")
    outputs = RawOutputs(torch.randn(1, 672, 4), torch.randn(1, 672, 2), torch.randn(1, 672, 10))
    terms = MultiBoxLoss()(outputs, Targets.from_rows([rows]), GRID)
    assert float(terms.landmark) == 0
    assert torch.isfinite(terms.total)


@given(seed=st.integers(0, 10_000), ratio=st.integers(0, 9))
@settings(max_examples=50, deadline=None)
def test_hardest_negatives_are_the_hardest_and_as_many_as_asked_for(seed: int, ratio: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    losses = torch.rand(3, 40, generator=generator) + 0.01
    positive = torch.rand(3, 40, generator=generator) < torch.tensor([[0.0], [0.1], [0.5]])
    chosen = torch.zeros(120, dtype=torch.bool)
    chosen[hardest_negatives(losses, positive, wanted=ratio * positive.sum(dim=1))] = True
    chosen = chosen.view(3, 40)
    assert not (chosen & positive).any()
    for i in range(3):
        rest = ~positive[i] & ~chosen[i]
        count = int(positive[i].sum())
        assert int(chosen[i].sum()) == min(ratio * count, 39, 40 - count)
        if chosen[i].any() and rest.any():
            assert losses[i][chosen[i]].min() >= losses[i][rest].max()


@pytest.mark.parametrize(
    "values",
    [
        {"threshold": 0.0},
        {"threshold": 1.5},
        {"box_weight": -1.0},
        {"size_balance": -0.5},
        {"smallest_face": -1.0},
    ],
)
def test_impossible_settings_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        MultiBoxConfig(**values)  # type: ignore[arg-type]


@given(seed=st.integers(0, 9999), size=sizes, threshold=thresholds)
@settings(max_examples=60, deadline=None)
def test_pairs_of_a_grid_are_those_that_a_look_at_every_anchor_finds(
    seed: int, size: tuple[int, int], threshold: float
) -> None:
    grid = AnchorGrid.of(*size)
    boxes = varied_boxes(torch.Generator().manual_seed(seed), 5, grid)
    iou = dense_iou(boxes, grid)
    pairs = grid.iou_pairs(boxes, threshold=threshold)
    assert torch.equal(pairs.value, iou[pairs.box, pairs.anchor])
    least = iou.amax(dim=1, keepdim=True).clamp(max=threshold)
    wanted = {tuple(place) for place in ((iou >= least) & (iou > 0)).nonzero().tolist()}
    found = list(zip(pairs.box.tolist(), pairs.anchor.tolist(), strict=True))
    assert wanted <= set(found)
    assert len(found) == len(set(found))

    share = dense_coverage(boxes, grid)
    pairs = grid.coverage_pairs(boxes, share=threshold)
    found = sorted(zip(pairs.box.tolist(), pairs.anchor.tolist(), strict=True))
    assert found == [tuple(place) for place in (share >= threshold).nonzero().tolist()]
    assert torch.equal(pairs.value, share[pairs.box, pairs.anchor])


def test_few_pairs_are_looked_at() -> None:
    grid = AnchorGrid.of(640, 640)
    centres, sides = torch.rand(100, 2), torch.logspace(-2, -0.2, 100)[:, None]
    boxes = torch.cat([centres - sides / 2, centres + sides / 2], dim=1)
    pairs = grid.iou_pairs(boxes, threshold=0.35)
    assert len(pairs.box) < 0.005 * len(boxes) * len(grid)


@given(seed=st.integers(0, 9999), size=sizes)
@settings(max_examples=40, deadline=None)
def test_overlaps_with_chosen_anchors_are_those_of_their_corners(seed: int, size: tuple[int, int]) -> None:
    grid = AnchorGrid.of(*size)
    boxes = varied_boxes(torch.Generator().manual_seed(seed), 5, grid)
    half = grid.table[:, 2:] / 2
    corners = torch.cat([grid.table[:, :2] - half, grid.table[:, :2] + half], dim=1)
    wanted = pairwise_iou(boxes.numpy().astype(np.float64), corners.numpy().astype(np.float64))
    everything = torch.arange(len(grid)).expand(len(boxes), -1)
    np.testing.assert_allclose(grid.iou(boxes, everything).numpy(), wanted, atol=1e-5)


def test_weights_of_one_change_nothing_and_a_weight_of_zero_takes_a_face_out() -> None:
    boxes = torch.tensor([[0.1, 0.1, 0.4, 0.4], [0.6, 0.6, 0.9, 0.9]])
    both = Targets.from_rows([rows_of(boxes, torch.ones(2))])
    outputs, loss = some_outputs(), MultiBoxLoss(MultiBoxConfig(negatives_per_positive=0))
    plain = loss(outputs, both, GRID)
    torch.testing.assert_close(tuple(loss(outputs, both, GRID, weights=torch.ones(1, 2))), tuple(plain))
    first = loss(outputs, Targets.from_rows([rows_of(boxes[:1], torch.ones(1))]), GRID)
    alone = loss(outputs, both, GRID, weights=torch.tensor([[1.0, 0.0]]))
    torch.testing.assert_close(tuple(alone), tuple(first))


def test_half_the_weight_is_half_the_say() -> None:
    boxes = torch.tensor([[0.1, 0.1, 0.4, 0.4], [0.6, 0.6, 0.9, 0.9]])
    targets = Targets.from_rows([rows_of(boxes, torch.ones(2))])
    outputs, loss = some_outputs(), MultiBoxLoss(MultiBoxConfig(negatives_per_positive=0))
    matches = match_anchors(targets, GRID)
    counts = [int((matches.positive[0] & (matches.face[0] == g)).sum()) for g in range(2)]
    single = [
        loss(outputs, Targets.from_rows([rows_of(boxes[g : g + 1], torch.ones(1))]), GRID) for g in range(2)
    ]
    found = loss(outputs, targets, GRID, weights=torch.tensor([[1.0, 0.5]]))
    share = [counts[0], 0.5 * counts[1]]
    for mixed, a, b in zip(found, *single, strict=True):
        wanted = (share[0] * a + share[1] * b) / sum(share)
        torch.testing.assert_close(mixed, wanted)


def test_anchors_in_an_ignored_box_are_no_background() -> None:
    targets = Targets.from_rows([rows_of(torch.tensor([[0.1, 0.1, 0.4, 0.4]]), torch.ones(1))])
    outputs, loss = some_outputs(), MultiBoxLoss()
    outputs.logits[0, :, 1] -= 10
    inside = dense_coverage(torch.tensor([[0.5, 0.5, 1.0, 1.0]]), GRID)[0] >= 0.5
    outputs.logits[0, inside, 1] += 30  # sure faces, where the label says "do not look"
    plain = loss(outputs, targets, GRID)
    spared = loss(
        outputs, targets, GRID, ignored=torch.tensor([[[0.5, 0.5, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]]])
    )
    assert spared.classification < 0.5 * plain.classification
    assert torch.equal(spared.box, plain.box)
    nothing = loss(outputs, targets, GRID, ignored=torch.zeros(1, 0, 4))
    torch.testing.assert_close(nothing.classification, plain.classification)


def test_a_face_within_an_ignored_box_is_still_learnt() -> None:
    targets = Targets.from_rows([rows_of(torch.tensor([[0.6, 0.6, 0.8, 0.8]]), torch.ones(1))])
    outputs = some_outputs()
    plain = MultiBoxLoss()(outputs, targets, GRID)
    within = MultiBoxLoss()(outputs, targets, GRID, ignored=torch.tensor([[[0.5, 0.5, 1.0, 1.0]]]))
    assert torch.equal(within.box, plain.box)
    assert within.box > 0
