"""Deformable convolution from other operators computes the same, in torch and in the exported graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from ffcore.export.deform_conv import grid_sample_deform_conv2d
from ffcore.models.blocks.deform_conv import DeformableUnit, deform_conv2d

Shape = tuple[int, int]


def random(*shape: int, scale: float = 1.0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape))) * scale


@pytest.mark.parametrize("size", [(7, 9), (1, 1), (1, 5), (6, 1), (20, 33)])
@pytest.mark.parametrize("reach", [0.0, 0.7, 30.0])  # not moved, a neighbour, far outside
def test_grid_sampling_is_deformable_convolution(size: Shape, reach: float) -> None:
    x, weight = random(2, 6, *size), random(4, 6, 3, 3)
    offset, mask = random(2, 18, *size, scale=reach), random(2, 9, *size).sigmoid() * 2
    found = grid_sample_deform_conv2d(x, weight, offset=offset, mask=mask)
    torch.testing.assert_close(
        found, deform_conv2d(x, weight, offset=offset, mask=mask), atol=2e-4, rtol=1e-4
    )


@pytest.mark.parametrize(("stride", "padding", "dilation"), [(2, 1, 1), (1, 2, 2), (1, 0, 1)])
def test_other_grids_are_those_of_the_operator(stride: int, padding: int, dilation: int) -> None:
    x, weight = random(1, 3, 12, 10), random(2, 3, 3, 3)
    out = [(n + 2 * padding - 2 * dilation - 1) // stride + 1 for n in (12, 10)]
    settings = {"stride": stride, "padding": padding, "dilation": dilation}
    given = {"offset": random(1, 18, *out), "mask": random(1, 9, *out)}
    wanted = deform_conv2d(x, weight, **given, **settings)
    torch.testing.assert_close(
        grid_sample_deform_conv2d(x, weight, **given, **settings), wanted, atol=1e-4, rtol=1e-4
    )


def test_the_exported_unit_has_no_deform_conv_and_serves_every_size(tmp_path: Path) -> None:
    unit = DeformableUnit(6, 4).eval()
    with torch.no_grad():
        for parameter in unit.parameters():
            parameter.copy_(random(*parameter.shape, scale=0.2))
    x = random(2, 6, 9, 14)
    wanted = unit(x)
    unit.operator = grid_sample_deform_conv2d
    dynamic = dict.fromkeys((0, 2, 3), torch.export.Dim.DYNAMIC)
    with torch.no_grad():
        program = torch.onnx.export(
            unit, (x,), dynamo=True, opset_version=20, dynamic_shapes={"x": dynamic}, verbose=False
        )
        program.save(str(tmp_path / "unit.onnx"))  # type: ignore[union-attr]
    operators = {node.op_type for node in onnx.load(tmp_path / "unit.onnx").graph.node}
    assert "GridSample" in operators
    assert "DeformConv" not in operators
    session = onnxruntime.InferenceSession(tmp_path / "unit.onnx", providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"x": x.numpy()})[0], wanted.detach(), atol=1e-4)
    unit.operator = None
    small = random(1, 6, 1, 5)
    np.testing.assert_allclose(session.run(None, {"x": small.numpy()})[0], unit(small).detach(), atol=1e-4)
