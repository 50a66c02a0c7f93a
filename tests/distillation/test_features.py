from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ffcore.distillation.features import FeatureAdapters, feature_loss, map_widths, matched_maps
from ffcore.distillation.losses import distillation_losses
from ffcore.errors import ConfigError
from ffcore.models.blocks.heads import RawOutputs
from tests.distillation.toys import student, trained


@pytest.mark.reference
def test_golden_feature_loss_and_total(reference: Path) -> None:
    gold = np.load(reference / "golden" / "distill.npz")
    own, other = (
        [torch.from_numpy(gold[f"features/{who}_{i}"]) for i in range(3)] for who in ("student", "teacher")
    )
    feature = feature_loss(own, other)
    assert float(feature) == pytest.approx(float(gold["features/feature_loss"]), rel=1e-5)
    none = torch.zeros(2, 168, 4), torch.zeros(2, 168, 10)
    # the recorded sum compares classes only
    classes = (
        RawOutputs(none[0], torch.from_numpy(gold[f"features/{who}_conf"]), none[1])
        for who in ("student", "teacher")
    )
    distill = sum(distillation_losses(*classes))
    assert float(distill) == pytest.approx(float(gold["features/distill"]), rel=1e-5)
    total = 0.3 * float(gold["features/task"]) + 0.7 * distill + 0.1 * feature
    assert float(total) == pytest.approx(float(gold["features/total"]), rel=1e-5)


def test_the_normalized_loss_does_not_know_in_which_unit_maps_are() -> None:
    torch.manual_seed(0)
    own, other = ([torch.randn(2, 8, 4, 4), torch.randn(2, 16, 2, 2)] for _ in range(2))
    small = feature_loss(own, other, norm="normalized")
    large = feature_loss([1000 * x for x in own], [1000 * x for x in other], norm="normalized")
    torch.testing.assert_close(small, large)
    zeros = [torch.zeros_like(x) for x in other]
    assert float(feature_loss(zeros, other, norm="normalized")) == pytest.approx(len(other))
    assert feature_loss(own, zeros, norm="normalized").isfinite()


def test_maps_of_two_sizes_are_an_error() -> None:
    with pytest.raises(ConfigError, match="cannot be compared"):
        feature_loss([torch.zeros(1, 8, 4, 4)], [torch.zeros(1, 1, 4, 4)])


@pytest.mark.parametrize(("one", "other", "convolutions"), [("v2", "v1", 3), ("v2-ca", "v1", 0)])
def test_maps_get_an_adapter_where_widths_differ_and_only_there(
    one: str, other: str, convolutions: int
) -> None:
    small, large = trained(one).eval(), trained(other)
    adapters = FeatureAdapters.between(small, large)
    assert sum(isinstance(adapter, torch.nn.Conv2d) for adapter in adapters.maps) == convolutions
    pixels = torch.randn(1, 3, 97, 64)
    maps = adapters(small.features(pixels))
    assert tuple(x.shape[1] for x in maps) == map_widths(large)
    assert [x.shape for x in maps] == [x.shape for x in matched_maps(large.features(pixels))]


def test_unused_adapters_have_gradients_of_zero() -> None:
    adapters = FeatureAdapters.between(student(), trained("v1"))
    zero = adapters.unused()
    assert float(zero.detach()) == 0
    zero.backward()
    gradients = [weight.grad for weight in adapters.parameters()]
    assert len(gradients) == 6
    assert all(gradient is not None and not gradient.any() for gradient in gradients)
    assert float(FeatureAdapters([8], [8]).unused()) == 0
