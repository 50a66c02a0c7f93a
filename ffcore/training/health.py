"""Whether a training step was sound: gradient norms, sizes of the loss terms, values that are no numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ffcore.errors import ModelError

NORM_HIGH, NORM_LOW, LOSS_HIGH = 10.0, 1e-6, 100.0
"""The documented limits of a healthy step."""

Symptom = Literal["gradient-high", "gradient-low", "loss-high", "not-finite"]


class DivergedError(ModelError):
    """A loss or a gradient is not a number any more.

    Args:
        step: Number of the step.
        terms: All terms of the loss.
        gradient_norm: Before clipping; None when it was not reached.
        images: The photos of the batch.
    """

    def __init__(
        self, step: int, *, terms: Mapping[str, float], gradient_norm: float | None, images: Sequence[str]
    ) -> None:
        self.step, self.terms, self.gradient_norm, self.images = (
            step,
            dict(terms),
            gradient_norm,
            tuple(images),
        )
        values = ", ".join(f"{name} {value:.4g}" for name, value in terms.items())
        norm = "" if gradient_norm is None else f", gradient norm {gradient_norm:.4g}"
        shown = ", ".join(images[:4]) + (f" and {len(images) - 4} more" if len(images) > 4 else "")
        super().__init__(
            f"step {step}: the training has diverged ({values}{norm}) on {shown or 'its batch'}; "
            "lower the rate, or go back to the last checkpoint"
        )


@dataclass(frozen=True)
class Finding:
    """Something unhealthy about a step, which goes on.

    Args:
        symptom: What kind.
        step: Number of the step.
        what: The gradient or the name of the term.
        value: How large.
    """

    symptom: Symptom
    step: int
    what: str
    value: float

    def __str__(self) -> str:
        limits = {"gradient-high": NORM_HIGH, "gradient-low": NORM_LOW, "loss-high": LOSS_HIGH}
        limit = limits.get(self.symptom)
        relation = "below" if self.symptom == "gradient-low" else "above"
        beyond = f", {relation} {limit:g}" if limit is not None else ", which is no number"
        return f"step {self.step}: {self.what} is {self.value:.4g}{beyond}"


def gradient_norm(parameters: Iterable[Tensor]) -> float:
    """L2 norm over the gradients of all parameters that have one; 0 where none has."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    return float(torch.nn.utils.get_total_norm(gradients)) if gradients else 0.0


def examine(step: int, terms: Mapping[str, float], *, gradient_norm: float) -> list[Finding]:
    """What is unhealthy about a step; empty when nothing is.

    Args:
        step: Its number.
        terms: Loss terms by name.
        gradient_norm: Before clipping.
    """
    findings = [
        Finding("not-finite" if not math.isfinite(value) else "loss-high", step, f"loss term {name}", value)
        for name, value in terms.items()
        if not math.isfinite(value) or value > LOSS_HIGH
    ]
    if not math.isfinite(gradient_norm):
        findings.append(Finding("not-finite", step, "the gradient norm", gradient_norm))
    elif gradient_norm > NORM_HIGH:
        findings.append(Finding("gradient-high", step, "the gradient norm", gradient_norm))
    elif gradient_norm < NORM_LOW:
        findings.append(Finding("gradient-low", step, "the gradient norm", gradient_norm))
    return findings
