from __future__ import annotations

import pytest
import torch

from ffcore.training.health import DivergedError, examine, gradient_norm


@pytest.mark.parametrize(
    ("terms", "norm", "symptoms"),
    [
        ({"box": 1.0, "class": 2.0}, 1.0, []),
        ({"box": 101.0}, 1.0, ["loss-high"]),
        ({"box": 1.0}, 10.5, ["gradient-high"]),
        ({"box": 1.0}, 1e-7, ["gradient-low"]),
        ({"box": float("nan"), "class": float("inf")}, float("nan"), ["not-finite"] * 3),
        ({"box": 100.0}, 10.0, []),
    ],
)
def test_the_documented_limits(terms: dict[str, float], norm: float, symptoms: list[str]) -> None:
    assert [finding.symptom for finding in examine(7, terms, gradient_norm=norm)] == symptoms


def test_a_finding_names_step_term_and_limit() -> None:
    (finding,) = examine(7, {"landmark": 250.0}, gradient_norm=1.0)
    assert str(finding) == "step 7: loss term landmark is 250, above 100"


def test_the_norm_is_that_of_all_gradients_together() -> None:
    parameters = [torch.zeros(2, requires_grad=True), torch.zeros(1, requires_grad=True)]
    assert gradient_norm(parameters) == 0.0
    parameters[0].grad = torch.tensor([3.0, 0.0])
    parameters[1].grad = torch.tensor([4.0])
    assert gradient_norm(parameters) == pytest.approx(5.0)


def test_a_divergence_names_terms_and_photos_in_one_line() -> None:
    error = DivergedError(
        12, terms={"box": float("nan"), "class": 3.0}, gradient_norm=None, images=["a.jpg", "b.jpg"]
    )
    assert str(error).startswith("step 12: the training has diverged (box nan, class 3) on a.jpg, b.jpg;")
    assert error.images == ("a.jpg", "b.jpg")
