"""Adam in the eigenbasis of Shampoo's statistics (Vyas et al. 2024, SOAP, arXiv 2409.11321, algorithm 3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from ffcore.errors import ConfigError


class SOAP(Optimizer):
    """An optimizer that scales steps along the directions in which gradients of a layer vary together.

    A weight is seen as a matrix, output channels by all the rest. Means of G·Gᵀ and Gᵀ·G tell those
    directions on either side; Adam runs on gradients turned into them. What has one dimension, biases and
    norms, gets plain Adam. The first step only gathers statistics and leaves the weights as they are.

    For networks as narrow as these (256 channels at most) the turning costs next to nothing beside a step on
    pictures; memory is that of AdamW and two square matrices with their bases for each weight.

    Args:
        parameters: What is trained.
        lr: Learning rate; those of AdamW are of the right size.
        betas: Share of the old that the mean gradient keeps, and that its squares and the statistics keep.
        eps: Added to the root of the squares.
        weight_decay: Share of a weight, times the rate, that a step takes away, apart from the gradient.
        refresh: Steps after which the directions are brought up to date, 1 or more.

    Raises:
        ConfigError: A value is out of its range.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        *,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.95, 0.95),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        refresh: int = 10,
    ) -> None:
        if not (lr > 0 and eps > 0 and weight_decay >= 0 and refresh >= 1):
            raise ConfigError(
                f"lr = {lr}, eps = {eps}, weight_decay = {weight_decay}, refresh = {refresh}: rate and eps "
                "above 0, decay of 0 or more and 1 step or more are needed"
            )
        if not all(0 <= beta < 1 for beta in betas):
            raise ConfigError(f"betas = {betas}: 0 or more and less than 1 is needed")
        values = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "refresh": refresh}
        super().__init__(parameters, values)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Takes a step with the gradients as they are."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)
        return loss

    def _update(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        matrix = gradient.reshape(len(gradient), -1) if gradient.ndim > 1 else gradient.reshape(1, -1)
        state = self.state[parameter]
        first, second = group["betas"]
        grams = _grams(matrix) if gradient.ndim > 1 else {}
        if not state:
            state["step"] = 0
            state["momentum"], state["square"] = torch.zeros_like(matrix), torch.zeros_like(matrix)
            for side, gram in grams.items():
                state[side] = gram * (1 - second)
                state[f"{side}_basis"] = torch.linalg.eigh(gram).eigenvectors.flip(1)
            return
        state["step"] += 1
        turned = _into(matrix, state)
        state["momentum"].lerp_(matrix, 1 - first)
        state["square"].lerp_(turned.square(), 1 - second)
        mean = _into(state["momentum"], state) / (1 - first ** state["step"])
        square = state["square"] / (1 - second ** state["step"])
        update = _out_of(mean / (square.sqrt() + group["eps"]), state)
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.add_(update.reshape(parameter.shape), alpha=-group["lr"])
        for side, gram in grams.items():
            state[side].lerp_(gram, 1 - second)
        if state["step"] % group["refresh"] == 0:
            _refresh(state)


def _grams(matrix: Tensor) -> dict[str, Tensor]:
    """G·Gᵀ and Gᵀ·G by side, without one that has nothing to turn."""
    rows, columns = matrix.shape
    grams = {}
    if rows > 1:
        grams["left"] = matrix @ matrix.T
    if columns > 1:
        grams["right"] = matrix.T @ matrix
    return grams


def _into(matrix: Tensor, state: dict[str, Any]) -> Tensor:
    """A matrix as seen in the bases of both sides."""
    if "left_basis" in state:
        matrix = state["left_basis"].T @ matrix
    return matrix @ state["right_basis"] if "right_basis" in state else matrix


def _out_of(matrix: Tensor, state: dict[str, Any]) -> Tensor:
    """The way back."""
    if "left_basis" in state:
        matrix = state["left_basis"] @ matrix
    return matrix @ state["right_basis"].T if "right_basis" in state else matrix


def _refresh(state: dict[str, Any]) -> None:
    """One step of orthogonal iteration towards the eigenvectors, largest eigenvalue first.

    Squares follow their directions into the new order.
    """
    for axis, side in enumerate(("left", "right")):
        if side not in state:
            continue
        basis = state[f"{side}_basis"]
        order = (basis * (state[side] @ basis)).sum(dim=0).argsort(descending=True)
        state["square"] = state["square"].index_select(axis, order)
        state[f"{side}_basis"] = torch.linalg.qr(state[side] @ basis[:, order]).Q
