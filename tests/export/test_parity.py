from __future__ import annotations

import numpy as np
import pytest
import torch

from ffcore.errors import ExportError
from ffcore.export.parity import (
    BATCHES,
    EXACT,
    SIZES,
    Array,
    Case,
    ParityError,
    cases,
    measure,
    pictures,
    require_parity,
)
from ffcore.models.variants import VARIANTS
from tests.models.random_weights import random_network

SMALL = [Case(2, 64, 96)]


def test_every_size_meets_every_batch_and_a_fixed_size_three_images() -> None:
    found = {(case.height, case.width, case.batch) for case in cases()}
    assert found == {(*size, batch) for size in SIZES for batch in BATCHES}
    assert [(case.batch, case.height, case.width) for case in cases((32, 48))] == [(1, 32, 48)] * 3
    images = [pictures(case) for case in cases((32, 48))]
    assert not np.array_equal(images[0], images[2])


def test_images_are_the_same_each_time_and_some_are_smooth_and_some_noise() -> None:
    smooth, noise = pictures(SMALL[0]).astype(np.float64)
    assert np.array_equal(pictures(SMALL[0]), pictures(SMALL[0]))
    assert np.abs(np.diff(smooth, axis=1)).mean() < np.abs(np.diff(noise, axis=1)).mean() / 2


@pytest.mark.parametrize("output", [0, 1, 2])
@pytest.mark.parametrize("wrong", [1e-2, float("nan")])
def test_one_wrong_number_in_any_output_is_enough(output: int, wrong: float) -> None:
    network = random_network(VARIANTS["v2"])

    def run(images: Array) -> list[Array]:
        with torch.no_grad():
            boxes, logits, landmarks = network(torch.from_numpy(images))
        found = [boxes.numpy(), logits.softmax(-1).numpy(), landmarks.numpy()]
        found[output][-1, 5, 1] += wrong
        return found

    with pytest.raises(ParityError) as caught:
        require_parity(network, run, cases=SMALL, tolerance=EXACT, name="net.onnx")
    assert "\n" not in str(caught.value)
    assert len(caught.value.differences) == 1


def test_outputs_of_another_shape_and_a_runtime_that_fails_are_refused() -> None:
    network = random_network(VARIANTS["v2"])
    short = [np.zeros((2, 5, last), np.float32) for last in (4, 2, 10)]
    assert measure(network, lambda _: short, cases=SMALL)[0].boxes == float("inf")

    def broken(images: Array) -> list[Array]:
        raise RuntimeError("no kernel\nfor this")

    with pytest.raises(ExportError, match=r"does not run .no kernel for this"):
        require_parity(network, broken, cases=SMALL, tolerance=EXACT, name="net.onnx")
