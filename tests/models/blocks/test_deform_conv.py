from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ffcore.errors import ConfigError
from ffcore.models.blocks.deform_conv import DeformableUnit, deform_conv2d
from ffcore.models.blocks.torchvision_ops import import_torchvision_ops


def literal_deform_conv2d(x: Tensor, weight: Tensor, offset: Tensor, mask: Tensor, stride: int) -> Tensor:
    """The definition, cell by cell; 3×3, padding 1."""
    batch, _, height, width = x.shape
    result = torch.zeros(batch, weight.shape[0], *offset.shape[2:], dtype=x.dtype)
    for b in range(batch):
        for i in range(offset.shape[2]):
            for j in range(offset.shape[3]):
                for k in range(9):
                    y = i * stride - 1 + k // 3 + float(offset[b, 2 * k, i, j])
                    z = j * stride - 1 + k % 3 + float(offset[b, 2 * k + 1, i, j])
                    top, left = int(np.floor(y)), int(np.floor(z))
                    for row, row_share in ((top, 1 - (y - top)), (top + 1, y - top)):
                        for column, share in ((left, 1 - (z - left)), (left + 1, z - left)):
                            if 0 <= row < height and 0 <= column < width:
                                value = x[b, :, row, column] * (row_share * share * mask[b, k, i, j])
                                result[b, :, i, j] += weight[:, :, k // 3, k % 3] @ value
    return result


@given(
    seed=st.integers(0, 10_000),
    height=st.integers(1, 6),
    width=st.integers(1, 6),
    stride=st.sampled_from([1, 2]),
    reach=st.sampled_from([0.0, 0.7, 9.0]),
    whole=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_it_is_what_the_definition_says(
    seed: int, height: int, width: int, stride: int, reach: float, whole: bool
) -> None:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    rows, columns = (height - 1) // stride + 1, (width - 1) // stride + 1
    x, weight = draw(2, 3, height, width), draw(4, 3, 3, 3)
    offset, mask = draw(2, 18, rows, columns) * reach, draw(2, 9, rows, columns)
    if whole:
        offset = offset.round()  # corners with a share of exactly 0 or 1
    found = deform_conv2d(x, weight, offset=offset, mask=mask, stride=stride)
    torch.testing.assert_close(found, literal_deform_conv2d(x, weight, offset, mask, stride))


def test_gradients_of_all_inputs_are_right() -> None:
    generator = torch.Generator().manual_seed(3)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()

    x, weight, offset, mask = draw(2, 3, 5, 4), draw(2, 3, 3, 3), draw(2, 18, 5, 4), draw(2, 9, 5, 4)

    def run(x: Tensor, weight: Tensor, offset: Tensor, mask: Tensor) -> Tensor:
        return deform_conv2d(x, weight, offset=offset, mask=mask)

    assert torch.autograd.gradcheck(run, (x, weight, offset, mask))


def test_zero_offsets_and_factors_of_one_are_an_ordinary_convolution() -> None:
    x, weight = torch.randn(2, 5, 9, 7, dtype=torch.float64), torch.randn(4, 5, 3, 3, dtype=torch.float64)
    zeros, ones = torch.zeros(2, 18, 9, 7).double(), torch.ones(2, 9, 9, 7).double()
    expected = torch.nn.functional.conv2d(x, weight, padding=1)
    torch.testing.assert_close(deform_conv2d(x, weight, offset=zeros, mask=ones), expected)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("dilation", [1, 2])
def test_values_and_gradients_equal_those_of_torchvision(stride: int, dilation: int) -> None:
    ops = import_torchvision_ops()
    torch.manual_seed(5)
    size = tuple((n + 2 - 2 * dilation - 1) // stride + 1 for n in (11, 13))
    shapes = ((3, 8, 11, 13), (6, 8, 3, 3), (3, 18, *size), (3, 9, *size))
    ours = [torch.randn(shape, dtype=torch.float64) * 1.5 for shape in shapes]
    theirs = [tensor.clone().requires_grad_() for tensor in ours]
    ours = [tensor.requires_grad_() for tensor in ours]
    found = deform_conv2d(ours[0], ours[1], offset=ours[2], mask=ours[3], stride=stride, dilation=dilation)
    wanted = ops.deform_conv2d(
        theirs[0], theirs[2], theirs[1], mask=theirs[3], stride=stride, padding=1, dilation=dilation
    )
    torch.testing.assert_close(found, wanted)
    found.square().sum().backward()
    wanted.square().sum().backward()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a.grad, b.grad)


@pytest.mark.reference
@pytest.mark.parametrize("case", ["small", "mid", "stride2"])
def test_golden_values_and_gradients(case: str, reference: Path) -> None:
    gold = np.load(reference / "golden" / "deform_conv.npz")
    x, offset, weight, mask = (
        torch.from_numpy(gold[f"{case}/{name}"]).requires_grad_()
        for name in ("x", "offset", "weight", "mask")
    )
    out = deform_conv2d(x, weight, offset=offset, mask=mask, stride=int(gold[f"{case}/stride"]))
    np.testing.assert_allclose(out.detach().numpy(), gold[f"{case}/out"], atol=2e-5)
    out.square().sum().backward()
    for name, tensor in (("x", x), ("offset", offset), ("weight", weight), ("mask", mask)):
        wanted = gold[f"{case}/grad_{name}"]
        assert tensor.grad is not None
        np.testing.assert_allclose(tensor.grad.numpy(), wanted, atol=2e-5 * max(1.0, np.abs(wanted).max()))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30, -1e30])
def test_a_wild_offset_spoils_its_own_cell_at_most_and_never_crashes(value: float) -> None:
    x, weight = torch.randn(1, 4, 6, 6), torch.randn(2, 4, 3, 3)
    offset, mask = torch.zeros(1, 18, 6, 6), torch.ones(1, 9, 6, 6)
    calm = deform_conv2d(x, weight, offset=offset, mask=mask)
    offset[0, 4, 2, 3] = value
    found = deform_conv2d(x, weight, offset=offset, mask=mask)
    changed = (found != calm).any(dim=1)[0]
    assert changed.nonzero().tolist() in ([[2, 3]], [])
    assert torch.isfinite(found).sum() >= found.numel() - 2


def test_half_precision_offsets_still_find_the_right_cell() -> None:
    """bfloat16 has 8 bits: 201.5 would become 202."""
    x = torch.arange(256.0).expand(1, 1, 1, 256)
    weight = torch.zeros(1, 1, 3, 3)
    weight[0, 0, 1, 1] = 1
    offset, mask = torch.zeros(1, 18, 1, 256), torch.ones(1, 9, 1, 256)
    offset[:, 9] = 0.5
    found = deform_conv2d(x, weight, offset=offset.bfloat16(), mask=mask.bfloat16())
    assert found[0, 0, 0, 201].item() == pytest.approx(201.5)


def test_an_untrained_unit_is_an_ordinary_convolution() -> None:
    unit, x = DeformableUnit(6, 4), torch.randn(2, 6, 8, 8)
    torch.testing.assert_close(unit(x), unit.regular_conv(x), atol=1e-5, rtol=1e-5)


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match="offset"):
        deform_conv2d(
            torch.zeros(1, 4, 8, 8),
            torch.zeros(2, 4, 3, 3),
            offset=torch.zeros(1, 18, 8, 7),
            mask=torch.zeros(1, 9, 8, 8),
        )
