from __future__ import annotations

import pytest
import torch
from torch import nn

from ffcore.errors import ConfigError
from ffcore.training.ema import ExponentialMovingAverage


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def disturb(module: nn.Module) -> None:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter))
    module.train()(torch.randn(2, 3, 8, 8))


def test_the_average_is_the_recursion_written_out() -> None:
    module = network()
    average = ExponentialMovingAverage(module, decay=0.5)
    expected = module[0].weight.detach().clone()  # type: ignore[index, union-attr]
    for n in range(1, 6):
        disturb(module)
        average.update()
        decay = min(0.5, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * module[0].weight.detach()  # type: ignore[index, union-attr]
    with average.applied():
        torch.testing.assert_close(module[0].weight.detach(), expected)  # type: ignore[index, union-attr]


def test_the_network_gets_its_own_weights_back_also_after_an_error() -> None:
    module = network()
    average = ExponentialMovingAverage(module)
    disturb(module)
    own = {key: value.clone() for key, value in module.state_dict().items()}

    def validate() -> None:
        with average.applied():
            assert not torch.equal(module.state_dict()["0.weight"], own["0.weight"])
            raise RuntimeError("validation failed")

    with pytest.raises(RuntimeError, match="validation failed"):
        validate()
    assert all(torch.equal(value, own[key]) for key, value in module.state_dict().items())


def test_running_statistics_are_averaged_and_counters_copied() -> None:
    module = network()
    average = ExponentialMovingAverage(module)
    disturb(module)
    average.update()
    with average.applied():
        state = {key: value.clone() for key, value in module.state_dict().items()}
    assert int(state["1.num_batches_tracked"]) == 1
    assert not torch.equal(state["1.running_mean"], module.state_dict()["1.running_mean"])


def test_a_restored_average_goes_on_as_if_nothing_had_happened() -> None:
    module = network()
    whole, half = ExponentialMovingAverage(module), ExponentialMovingAverage(module)
    for i in range(6):
        disturb(module)
        whole.update()
        half.update()
        if i == 2:
            state = half.state()
            half = ExponentialMovingAverage(module)
            half.restore(**state)  # type: ignore[arg-type]
    with whole.applied():
        expected = module.state_dict()["0.weight"].clone()
    with half.applied():
        assert torch.equal(module.state_dict()["0.weight"], expected)


def test_a_decay_of_one_would_never_learn() -> None:
    with pytest.raises(ConfigError, match="decay = 1"):
        ExponentialMovingAverage(network(), decay=1.0)
