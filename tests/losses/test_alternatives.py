from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any, get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ffcore.errors import ConfigError
from ffcore.geometry import decode_boxes, encode_boxes
from ffcore.losses import (
    AnchorGrid,
    LossTerms,
    MultiBoxConfig,
    MultiBoxLoss,
    Targets,
)
from ffcore.losses.boxes import BoxLossKind
from ffcore.losses.classes import ClassLossKind
from ffcore.losses.multibox import MatchingKind
from ffcore.models.blocks.heads import RawOutputs
from tests.losses.faces import (
    GRID,
    dense_coverage,
    matches_of,
    random_boxes,
    rows_of,
    some_outputs,
    targets_of,
)

CONFIGS = [
    MultiBoxConfig(matching=matching, box_loss=box_loss, class_loss=class_loss)
    for matching, box_loss, class_loss in product(*map(get_args, (MatchingKind, BoxLossKind, ClassLossKind)))
]
FOCAL = [config for config in CONFIGS if config.class_loss != "hard-negatives"]


def name_of(config: MultiBoxConfig) -> str:
    return f"{config.matching}, {config.box_loss}, {config.class_loss}"


every_config = pytest.mark.parametrize("config", CONFIGS, ids=name_of)
BOX = torch.tensor([[0.2, 0.2, 0.6, 0.5]])
TWO = torch.tensor([[0.1, 0.1, 0.4, 0.4], [0.6, 0.6, 0.9, 0.9]])


def gradients(
    config: MultiBoxConfig, outputs: RawOutputs, targets: Targets, **options: Any
) -> tuple[LossTerms, list[Tensor]]:
    leaves = RawOutputs(*(tensor.clone().requires_grad_() for tensor in outputs))
    terms = MultiBoxLoss(config)(leaves, targets, GRID, **options)
    terms.total.backward()
    return terms, [torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in leaves]


def crowds(name: str) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return {
        "none": torch.zeros(0, 4),
        "a thousand": random_boxes(generator, 1000, 0.3),
        "identical": BOX.repeat(50, 1),
        "tiny": torch.tensor([[0.5, 0.5, 0.5 + 1e-6, 0.5 + 1e-6], [0.1, 0.1, 0.101, 0.9]]),
        "huge": torch.tensor([[-3.0, -3.0, 4.0, 4.0], [0.0, 0.0, 1.0, 1.0]]),
        "beyond the image": torch.tensor([[5.0, 5.0, 6.0, 6.0]]),
    }[name]


@every_config
@pytest.mark.parametrize("crowd", ["none", "a thousand", "identical", "tiny", "huge", "beyond the image"])
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_terms_and_gradients_are_finite_whatever_comes(
    config: MultiBoxConfig, crowd: str, scale: float
) -> None:
    faces = crowds(crowd)
    unknown = rows_of(faces, -torch.ones(len(faces)))
    targets = Targets.from_rows([rows_of(faces), unknown, torch.zeros(0, 15)])
    terms, found = gradients(config, some_outputs(3, scale=scale), targets)
    assert all(torch.isfinite(term) for term in terms)
    assert all(torch.isfinite(gradient).all() for gradient in found)


@every_config
@given(seed=st.integers(0, 10_000), count=st.integers(0, 6), value=st.sampled_from([-1e4, -30.0, 30.0, 1e4]))
@settings(max_examples=8, deadline=None)
def test_outputs_that_run_away_keep_finite_gradients(
    config: MultiBoxConfig, seed: int, count: int, value: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    outputs = some_outputs(1, seed=seed)
    for tensor in outputs:
        tensor[torch.rand(tensor.shape, generator=generator) < 0.3] = value
    terms, found = gradients(config, outputs, targets_of(random_boxes(generator, count, 0.5)))
    assert all(torch.isfinite(term) for term in terms)
    assert all(torch.isfinite(gradient).all() for gradient in found)


@every_config
def test_a_weight_of_zero_takes_a_face_out_of_every_term(config: MultiBoxConfig) -> None:
    outputs = some_outputs()
    outputs.logits[..., 0] += 60  # the background is right everywhere, so only faces cost anything
    both, first = targets_of(TWO), targets_of(TWO[:1])
    found, moved = gradients(config, outputs, both, weights=torch.tensor([[1.0, 0.0]]))
    wanted, _ = gradients(config, outputs, first)
    torch.testing.assert_close(tuple(found), tuple(wanted))
    region = dense_coverage(TWO[1:], GRID)[0] > 0.9
    assert region.any()
    assert not moved[0][0, region].any()
    assert not moved[2][0, region].any()


@pytest.mark.parametrize(
    "config", CONFIGS[::5], ids=name_of
)  # each matching, box and class loss once or more
def test_descending_finds_the_faces(config: MultiBoxConfig) -> None:
    """Free outputs are all that a network could say, so the loss must lead them to the label."""
    leaves = [torch.zeros_like(tensor).requires_grad_() for tensor in some_outputs()]
    outputs, targets, loss = RawOutputs(*leaves), targets_of(TWO), MultiBoxLoss(config)
    optimizer = torch.optim.Adam(leaves, lr=0.1)
    for _ in range(150):
        optimizer.zero_grad()
        loss(outputs, targets, GRID).total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    scores = outputs.logits.detach()[0].softmax(dim=-1)[:, 1]
    boxes = decode_boxes(outputs.boxes.detach()[0], GRID.table)
    best = int(scores.argmax())
    assert scores[best] > 0.8
    assert min(float((boxes[best] - face).abs().max()) for face in TWO) < 0.02
    sure = boxes[scores > 0.6]
    for face in TWO:
        assert (sure - face).abs().amax(dim=1).min() < 0.02


@every_config
def test_a_batch_without_faces_is_none_the_worse_for_rules_about_low_ones(config: MultiBoxConfig) -> None:
    nobody = Targets.from_rows([torch.zeros(0, 15)] * 2)
    outputs = RawOutputs(*(tensor.expand(2, -1, -1) for tensor in some_outputs()))
    plain, _ = gradients(config, outputs, nobody)
    ruled, _ = gradients(replace(config, smallest_face=8.0, simota_below=16.0), outputs, nobody)
    assert torch.equal(torch.stack(ruled), torch.stack(plain))


def test_mined_background_is_as_much_as_the_faces_that_bring_it_count() -> None:
    config, outputs, targets = MultiBoxConfig(), some_outputs(), targets_of(TWO)
    face, positive = matches_of(config, outputs, targets)
    counts = [int((positive & (face == i)).sum()) for i in range(2)]

    def mined(*weights: float) -> int:
        _, (_, logits, _) = gradients(config, outputs, targets, weights=torch.tensor([weights]))
        return int(((logits != 0).any(dim=-1) & ~positive).sum())

    background = 7 * counts[0]
    assert background < int((~positive).sum())
    assert mined(1.0, 0.0) == background  # a face that counts nothing brings none
    assert mined(0.5, 0.0) == round(background / 2)
    assert mined(0.0, 0.0) == 0


@pytest.mark.parametrize("config", FOCAL, ids=name_of)
def test_a_focal_loss_learns_the_background_of_an_image_without_faces(config: MultiBoxConfig) -> None:
    _, (_, logits, _) = gradients(config, some_outputs(), targets_of(torch.zeros(0, 4)))
    assert (logits[..., 1] > 0).all()
    assert (logits[..., 0] < 0).all()


@pytest.mark.parametrize("config", FOCAL, ids=name_of)
def test_a_focal_loss_says_nothing_about_anchors_in_an_ignored_box(config: MultiBoxConfig) -> None:
    area = torch.tensor([[0.5, 0.5, 1.0, 1.0]])
    inside = dense_coverage(area, GRID)[0] >= 0.5
    _, (_, logits, _) = gradients(config, some_outputs(), targets_of(torch.zeros(0, 4)), ignored=area[None])
    assert not logits[0, inside].any()
    assert logits[0, ~inside].all()


@pytest.mark.parametrize("field", ["matching", "box_loss", "class_loss"])
def test_an_unknown_kind_is_refused_with_the_kinds_there_are(field: str) -> None:
    with pytest.raises(ConfigError, match=rf"{field} = 'best' is unknown"):
        MultiBoxConfig(**{field: "best"})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "values",
    [
        {"atss_nearest": 0},
        {"simota_nearest": 0},
        {"simota_below": -1.0},
        {"focal_alpha": 1.1},
        {"focal_gamma": -1.0},
        {"quality_beta": 0.5},
    ],
)
def test_impossible_numbers_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(values))):
        MultiBoxConfig(**values)


@every_config
@pytest.mark.parametrize("matched", ["alone", "with neutral anchors"])
def test_a_face_below_the_smallest_is_neither_face_nor_background(
    config: MultiBoxConfig, matched: str
) -> None:
    boxes = torch.tensor([[0.1, 0.1, 0.4, 0.4], [0.6, 0.6, 0.67, 0.68]])  # 38 and 10 pixels high
    outputs, both = some_outputs(), targets_of(boxes)
    face, positive = matches_of(config, outputs, both)
    low = positive & (face == 1)
    assert low.any()
    neutral = torch.zeros_like(low)
    neutral[:, ::2] = matched == "with neutral anchors"

    plain, moved = gradients(config, outputs, both, neutral=neutral)
    assert moved[1][low].any()
    tall = replace(config, smallest_face=9.0)
    torch.testing.assert_close(gradients(tall, outputs, both, neutral=neutral)[0], plain)

    found, moved = gradients(replace(config, smallest_face=11.0), outputs, both, neutral=neutral)
    wanted, _ = gradients(config, outputs, targets_of(boxes[:1]), neutral=neutral | low)
    torch.testing.assert_close(found, wanted)
    assert not any(value[low].any() for value in moved)


@pytest.mark.parametrize("matching", ["iou", "atss"])
@pytest.mark.parametrize("place", [(0.8, 0.7), (0.2, 0.25)], ids=["apart", "inside the large one"])
def test_faces_below_a_height_get_the_anchors_of_simota_and_others_keep_what_is_left(
    matching: MatchingKind, place: tuple[float, float]
) -> None:
    x, y = place
    large, small = [0.1, 0.1, 0.5, 0.5], [x, y, x + 0.08, y + 0.09]  # 51 and 12 pixels high
    config = MultiBoxConfig(matching=matching)
    both = targets_of(torch.tensor([large, small]))
    sees_small = encode_boxes(torch.tensor([small]).expand(len(GRID), 4), GRID.table)[None]
    outputs = some_outputs()._replace(boxes=sees_small)
    mine = matches_of(replace(config, matching="simota"), outputs, targets_of(torch.tensor([small]))).positive
    rest = matches_of(config, outputs, targets_of(torch.tensor([large]))).positive
    assert int(mine.sum()) > 2

    def pulled(config: MultiBoxConfig, **options: Any) -> Tensor:
        return gradients(config, outputs, both, **options)[1][2].any(dim=2)

    mixed = replace(config, simota_below=12.0)
    assert torch.equal(pulled(mixed), mine | rest)
    assert torch.equal(pulled(mixed, weights=torch.tensor([[0.0, 1.0]])), mine)
    assert torch.equal(pulled(mixed, weights=torch.tensor([[1.0, 0.0]])), rest & ~mine)
    plain = matches_of(config, outputs, both).positive
    assert torch.equal(pulled(replace(config, simota_below=11.0)), plain)
    assert not torch.equal(plain, mine | rest)


@every_config
@pytest.mark.parametrize("size", [(1, 1), (37, 200)])
def test_any_image_size_works(config: MultiBoxConfig, size: tuple[int, int]) -> None:
    grid = AnchorGrid.of(*size)
    terms = MultiBoxLoss(config)(some_outputs(grid=grid), targets_of(BOX), grid)
    assert all(torch.isfinite(term) for term in terms)


@every_config
@given(seed=st.integers(0, 10_000), count=st.integers(0, 5))
@settings(max_examples=6, deadline=None)
def test_only_positive_anchors_are_pulled_to_boxes_and_landmarks(
    config: MultiBoxConfig, seed: int, count: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    boxes = random_boxes(generator, count, 0.5)
    known = (torch.rand(count, generator=generator) < 0.5).float() * 2 - 1
    targets = Targets.from_rows([rows_of(boxes, known)])
    outputs = some_outputs(seed=seed)
    matches = matches_of(config, outputs, targets)
    positive = matches.positive[0]
    marked = positive.clone()
    marked[positive] = known[matches.face[0, positive]] > 0
    _, (offsets, logits, points) = gradients(config, outputs, targets)
    assert torch.equal(offsets[0].any(dim=1), positive)
    assert torch.equal(points[0].any(dim=1), marked)
    moved = logits[0].any(dim=1)
    assert moved[positive].all()
    mined = min(7 * int(positive.sum()), int((~positive).sum()), len(GRID) - 1)
    wanted = mined if config.class_loss == "hard-negatives" else int((~positive).sum())
    assert int(moved[~positive].sum()) == wanted


@every_config
def test_half_precision_outputs_give_nearly_the_same_loss(config: MultiBoxConfig) -> None:
    outputs, targets = some_outputs(), targets_of(TWO)
    halves = RawOutputs(*(tensor.to(torch.bfloat16) for tensor in outputs))
    exact = MultiBoxLoss(config)(RawOutputs(*(tensor.float() for tensor in halves)), targets, GRID)
    found = MultiBoxLoss(config)(halves, targets, GRID)
    assert found.total.dtype == torch.float32
    torch.testing.assert_close(tuple(found), tuple(exact), rtol=1e-2, atol=1e-3)
