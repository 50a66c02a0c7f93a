from __future__ import annotations

import pytest
import torch

from ffcore.export.fast.network import FastNetwork
from ffcore.export.fast.operators import TorchOperators
from ffcore.models.variants import VARIANTS
from tests.export.fast.rounding import assert_same
from tests.models.random_weights import fingerprint, random_network

pytestmark = pytest.mark.usefixtures("no_gradients")


@pytest.mark.parametrize("name", VARIANTS)
def test_a_network_gives_the_same_in_its_fast_form(name: str) -> None:
    network = random_network(VARIANTS[name])
    before = fingerprint(network)
    fast = FastNetwork(network, TorchOperators())
    for shape in ((1, 3, 64, 64), (2, 3, 97, 131), (1, 3, 33, 1023)):
        images = torch.rand(shape) * 255 - 110
        boxes, logits, landmarks = network(images)
        for found, wanted in zip(fast(images), (boxes, logits.softmax(-1), landmarks), strict=True):
            # v1-original's random weights double rounding three times; see the goldens' tolerances
            assert_same(found, wanted, tolerance=1e-4)
    assert fingerprint(network) == before, "the network itself was changed"
