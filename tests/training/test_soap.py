from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from ffcore.errors import ConfigError
from ffcore.training.soap import SOAP

Loss = Callable[[Tensor], Tensor]


def numbers(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def rotation(side: int, *, seed: int) -> Tensor:
    basis: Tensor = torch.linalg.qr(numbers(side, side, seed=seed)).Q
    return basis


def descended(start: Tensor, loss: Loss, *, steps: int, **settings: float) -> Tensor:
    weight = nn.Parameter(start.clone())
    optimizer = SOAP([weight], **settings)  # type: ignore[arg-type]
    for _ in range(steps):
        optimizer.zero_grad()
        loss(weight).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return weight.detach()


def test_what_has_one_dimension_gets_adam_from_the_second_step_on() -> None:
    bias, other = nn.Parameter(torch.zeros(5)), nn.Parameter(torch.zeros(5))
    ours = SOAP([bias], lr=0.01, weight_decay=0.1)
    adam = torch.optim.AdamW([other], lr=0.01, weight_decay=0.1, betas=(0.95, 0.95))
    for step in range(6):
        gradient = numbers(5, seed=step).float()
        bias.grad = gradient
        ours.step()
        if step:
            other.grad = gradient
            adam.step()
    torch.testing.assert_close(bias, other)
    assert bias.abs().min() > 0


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("side", [2, 3, 6])
def test_it_makes_no_difference_from_where_a_layer_is_looked_at(seed: int, side: int) -> None:
    # Adam lacks this: it scales each number of a weight by itself, whatever axes they happen to be on. The
    # weight is square, since a first gradient of lower rank leaves some directions to chance
    curvature = numbers(side, side, seed=seed).abs() + 0.1
    aim, start = numbers(side, side, seed=seed + 100), numbers(side, side, seed=seed + 200)
    left, right = rotation(side, seed=seed + 300), rotation(side, seed=seed + 400)

    def loss(weight: Tensor) -> Tensor:
        return (curvature * (weight - aim).square()).sum()

    straight = descended(start, loss, steps=25, lr=0.05)
    turned = descended(left @ start @ right, lambda w: loss(left.T @ w @ right.T), steps=25, lr=0.05)
    assert (straight - start).abs().max() > 0.1
    torch.testing.assert_close(left.T @ turned @ right.T, straight, rtol=0, atol=1e-4)


def test_a_narrow_valley_that_lies_across_the_axes_is_followed_where_adam_crosses_it() -> None:
    side = 16
    left, right = rotation(side, seed=1), rotation(side, seed=2)
    curvature = torch.logspace(-3, 0, side, dtype=torch.float64)

    def loss(weight: Tensor) -> Tensor:
        seen = left @ weight @ right
        return (curvature[:, None] * curvature * seen.square()).sum()

    start = numbers(side, side, seed=3)
    weight = nn.Parameter(start.clone())
    adam = torch.optim.AdamW([weight], lr=0.02, weight_decay=0, betas=(0.95, 0.95))
    for _ in range(400):
        adam.zero_grad()
        loss(weight).backward()  # type: ignore[no-untyped-call]
        adam.step()
    assert loss(descended(start, loss, steps=400, lr=0.02, weight_decay=0)) < loss(weight) / 10


@pytest.mark.parametrize("shape", [(8, 1, 3, 3), (8, 4, 1, 1), (6, 5), (1, 2, 7, 7), (7,), (3, 1)])
def test_weights_of_every_shape_fall_to_the_lowest_point(shape: tuple[int, ...]) -> None:
    start = numbers(*shape, seed=0) + 3

    def loss(weight: Tensor) -> Tensor:
        return (weight - 1).square().mean()

    # a long way where gradients have one direction, of which Adam's step is as long as that of one number
    reached = descended(start, loss, steps=400, lr=0.1, weight_decay=0)
    assert loss(reached) < loss(start) / 100


def test_the_layout_of_a_weight_in_memory_makes_no_difference() -> None:
    weights = [nn.Parameter(numbers(8, 4, 3, 3, seed=0)) for _ in range(2)]
    weights[1].data = weights[1].data.to(memory_format=torch.channels_last)
    for weight in weights:
        optimizer = SOAP([weight], lr=0.01)
        for step in range(15):
            gradient = numbers(8, 4, 3, 3, seed=step)
            weight.grad = gradient.to(memory_format=torch.channels_last) if weight is weights[1] else gradient
            optimizer.step()
    assert weights[1].is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(weights[0], weights[1])


def test_decay_takes_a_share_of_the_weights_apart_from_their_gradient() -> None:
    weight = nn.Parameter(torch.full((4, 4), 2.0))
    optimizer = SOAP([weight], lr=0.1, weight_decay=0.5)
    for _ in range(3):
        weight.grad = torch.zeros(4, 4)
        optimizer.step()
    torch.testing.assert_close(weight.detach(), torch.full((4, 4), 2 * 0.95**2))


def test_a_state_that_was_kept_goes_on_to_the_bit() -> None:
    weights = [nn.Parameter(numbers(6, 5, seed=0)), nn.Parameter(numbers(6, seed=1))]
    whole = SOAP(weights, lr=0.02)

    def step(optimizer: SOAP, parameters: list[nn.Parameter], number: int) -> None:
        for place, weight in enumerate(parameters):
            weight.grad = numbers(*weight.shape, seed=10 * number + place)
        optimizer.step()

    for number in range(13):
        step(whole, weights, number)
    copies = [nn.Parameter(weight.detach().clone()) for weight in weights]
    again = SOAP(copies, lr=0.02)
    again.load_state_dict(copy.deepcopy(whole.state_dict()))
    for number in range(13, 30):
        step(whole, weights, number)
        step(again, copies, number)
    assert all(torch.equal(a, b) for a, b in zip(weights, copies, strict=True))


@pytest.mark.parametrize(
    "settings", [{"lr": 0}, {"eps": 0}, {"weight_decay": -1}, {"refresh": 0}, {"betas": (1.0, 0.9)}]
)
def test_values_out_of_range_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="needed"):
        SOAP([nn.Parameter(torch.zeros(2))], **settings)  # type: ignore[arg-type]
