from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from ffcore.detection import DetectorFacts
from ffcore.detection.onnxruntime_backend import OnnxRuntimeBackend
from ffcore.errors import CheckpointError, ConfigError, MissingDependencyError, ModelError
from ffcore.geometry import AnchorConfig
from tests.detection.toys import ToyBackend, photo, toy_onnx

PHOTOS = np.stack([photo(64, 96, (8, 16, 8)), photo(64, 96, (32, 32, 16)), photo(64, 96)])


@pytest.mark.parametrize("batch", ["batch", 1, 2, 3, 4])
def test_every_kind_of_batch_gives_what_the_rule_says(batch: int | str, tmp_path: Path) -> None:
    backend = OnnxRuntimeBackend(toy_onnx(tmp_path / "toy.onnx", batch=batch))
    found, expected = backend.run(PHOTOS), ToyBackend().run(PHOTOS)
    assert found.scores.shape == expected.scores.shape
    assert np.abs(found.scores - expected.scores).max() < 1e-5
    assert found.scores.max() > 0.99
    assert found.boxes.shape == (3, 252, 4)
    assert found.landmarks.shape == (3, 252, 10)
    assert found.scores.dtype == found.boxes.dtype == np.float32


def test_a_file_says_whether_its_input_is_fixed(tmp_path: Path) -> None:
    free = OnnxRuntimeBackend(toy_onnx(tmp_path / "free.onnx"))
    fixed = OnnxRuntimeBackend(toy_onnx(tmp_path / "fixed.onnx", height=64, width=96, batch=1))
    assert free.input_size is None
    assert fixed.input_size == (64, 96)
    assert fixed.run(PHOTOS).scores.shape == (3, 252)


def test_the_outputs_are_found_whatever_their_names(tmp_path: Path) -> None:
    backend = OnnxRuntimeBackend(toy_onnx(tmp_path / "toy.onnx", names=("592", "output0", "593")))
    assert np.abs(backend.run(PHOTOS).scores - ToyBackend().run(PHOTOS).scores).max() < 1e-5


def test_our_names_decide_when_the_file_leaves_the_shapes_open(tmp_path: Path) -> None:
    path = toy_onnx(tmp_path / "open.onnx", last_dimensions=False)
    model = onnx.load(path)
    nodes = list(model.graph.node)
    del model.graph.node[:]
    for node in nodes:
        if node.op_type == "Reshape":  # by a computed shape, which hides the last dimension
            hidden = onnx.helper.make_node("Identity", [node.input[1]], [f"{node.input[1]}_hidden"])
            model.graph.node.append(hidden)
            node.input[1] = hidden.output[0]
        model.graph.node.append(node)
    onnx.save(model, path)
    assert OnnxRuntimeBackend(path).run(PHOTOS).landmarks.shape == (3, 252, 10)


def test_metadata_is_read_and_used(tmp_path: Path) -> None:
    facts = DetectorFacts(
        network="v1",
        anchors=AnchorConfig(min_sizes=((10, 20), (40, 50)), strides=(8, 16)),
        score_threshold=0.3,
        nms_threshold=0.35,
        licence="MIT",
        version="1.2.3",
    )
    entries = {**facts.to_metadata(), "author": "somebody"}
    backend = OnnxRuntimeBackend(toy_onnx(tmp_path / "toy.onnx", strides=(8, 16), metadata=entries))
    assert backend.facts == facts


def test_rgb_and_another_mean_reach_the_network(tmp_path: Path) -> None:
    entries = {"featherface.channel_order": "RGB", "featherface.mean": "104,0,0"}
    backend = OnnxRuntimeBackend(toy_onnx(tmp_path / "rgb.onnx", metadata=entries))
    red = np.zeros((1, 32, 32, 3), np.uint8)
    red[..., 2] = 255
    assert backend.run(red).scores.max() > 0.99
    assert backend.run(red[..., ::-1]).scores.max() < 0.01


def test_zeros_around_a_pool_count_as_zeros(tmp_path: Path) -> None:
    # ONNX Runtime's Pad_Fusion would turn them into minus infinity, for fixed shapes.
    path = toy_onnx(tmp_path / "border.onnx", batch=1, height=64, width=64, zero_border=True)
    boxes = OnnxRuntimeBackend(path).run(photo(64, 64)[None]).boxes[0, :128].reshape(8, 8, 2, 4)
    assert (boxes[1:-1, 1:-1] == -1).all()
    edge = np.ones((8, 8), bool)
    edge[1:-1, 1:-1] = False
    assert (boxes[edge] == 0).all()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"outputs": 2}, "2 outputs"),
        ({"strides": (8, 16)}, "from its anchors"),
        ({"softmax": False}, "not a probability"),
        ({"metadata": {"featherface.strides": "[8, 16]"}}, "stride"),
        ({"metadata": {"featherface.strides": "eight"}}, "cannot be read"),
        ({"metadata": {"featherface.channel_order": "GRB"}}, "'GRB'"),
        ({"metadata": {"featherface.mean": "1,2"}}, "three"),
        ({"metadata": {"featherface.score_threshold": "2"}}, "in 0..1"),
        ({"height": 64}, "one side only"),
        ({"last_dimensions": False, "names": ("a", "b", "c"), "height": "h"}, None),
    ],
)
def test_what_is_no_such_detector_is_refused_in_one_line(
    change: dict, reason: str | None, tmp_path: Path
) -> None:
    path = toy_onnx(tmp_path / "other.onnx", **change)
    if reason is None:
        assert OnnxRuntimeBackend(path).input_size is None  # shapes can be inferred after all
        return
    with pytest.raises(CheckpointError, match=reason) as caught:
        OnnxRuntimeBackend(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "an empty file"),
        (b"<!DOCTYPE html><html>Sign in</html>", "an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (bytes(range(256)) * 4, "damaged"),
    ],
)
def test_a_file_of_another_kind_is_refused_in_one_line(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=reason) as caught:
        OnnxRuntimeBackend(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_file_is_refused_in_one_line(share: float, tmp_path: Path) -> None:
    whole = toy_onnx(tmp_path / "whole.onnx").read_bytes()
    path = tmp_path / "part.onnx"
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(CheckpointError) as caught:
        OnnxRuntimeBackend(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [b"licence", b"bbox_regressions"])
def test_an_entry_or_a_name_that_is_no_text_is_refused(name: bytes, tmp_path: Path) -> None:
    path = toy_onnx(tmp_path / "toy.onnx", metadata={"featherface.licence": "MIT"})
    content = path.read_bytes()
    assert name in content
    path.write_bytes(content.replace(name, b"\xff" + name[1:]))
    with pytest.raises(CheckpointError, match=r"toy\.onnx: (is damaged|ONNX Runtime cannot open it)"):
        OnnxRuntimeBackend(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="No such file"):
        OnnxRuntimeBackend(tmp_path / "none.onnx")


def test_a_device_that_is_not_installed_is_an_error(tmp_path: Path) -> None:
    path = toy_onnx(tmp_path / "toy.onnx")
    absent = next(
        name
        for name in ("DmlExecutionProvider", "RknpuExecutionProvider")
        if name not in onnxruntime.get_available_providers()
    )
    with pytest.raises(MissingDependencyError, match=absent):
        OnnxRuntimeBackend(path, device=absent)
    with pytest.raises(ConfigError, match="did you mean 'cuda'"):
        OnnxRuntimeBackend(path, device="cudda")
    with pytest.raises(ConfigError, match="at least 1"):
        OnnxRuntimeBackend(path, threads=0)


@pytest.mark.skipif(
    "CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="this ONNX Runtime has CUDA"
)
def test_without_cuda_auto_takes_the_cpu_and_cuda_is_an_error(tmp_path: Path) -> None:
    path = toy_onnx(tmp_path / "toy.onnx")
    assert OnnxRuntimeBackend(path).device == "cpu"
    with pytest.raises(MissingDependencyError, match="onnxruntime-gpu"):
        OnnxRuntimeBackend(path, device="cuda")


def test_the_full_name_of_a_provider_works_too(tmp_path: Path) -> None:
    path = toy_onnx(tmp_path / "toy.onnx")
    assert OnnxRuntimeBackend(path, device="CPUExecutionProvider", threads=1).device == "cpu"


def test_an_input_that_the_network_does_not_take_is_a_model_error(tmp_path: Path) -> None:
    backend = OnnxRuntimeBackend(toy_onnx(tmp_path / "toy.onnx", height=64, width=64))
    with pytest.raises(ModelError, match="1 x 32 x 32 pixels") as caught:
        backend.run(photo(32, 32)[None])
    assert "\n" not in str(caught.value)


def test_detecting_with_an_onnx_file_loads_no_torch_and_is_silent(tmp_path: Path) -> None:
    path = toy_onnx(tmp_path / "toy.onnx")
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(path.read_bytes()[:-40])
    code = f"""
import sys, numpy as np
from ffcore.detection import FaceDetector
from ffcore.errors import CheckpointError
assert len(FaceDetector.load({str(path)!r})(np.full((64, 64, 3), 255, np.uint8))) > 0
try:
    FaceDetector.load({str(bad)!r})
except CheckpointError:
    pass
else:
    raise AssertionError("a damaged file was taken")
assert not {{"torch", "onnx", "scipy", "matplotlib"}} & set(sys.modules), "a heavy package was loaded"
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.reference
def test_the_published_retinaface_of_the_same_layout_works(reference: Path) -> None:
    backend = OnnxRuntimeBackend(reference / "peers" / "retinaface_mnet025_mingo99.onnx")
    assert backend.input_size == (640, 640)
    assert backend.facts == DetectorFacts()


@pytest.mark.reference
@pytest.mark.parametrize(
    "name",
    [
        *("blazeface_zineos_sim", "scrfd_2.5g", "scrfd_500m_bnkps", "ulfg_rfb_640", "ulfg_slim_320"),
        *("yolov5n05_face", "yolov8_lite_t_face", "yunet_n_640", "yunet_n_dynamic", "yunet_s_640"),
    ],
)
def test_detectors_of_other_families_are_refused_in_one_line(name: str, reference: Path) -> None:
    with pytest.raises(CheckpointError, match="is not a FeatherFace detector") as caught:
        OnnxRuntimeBackend(reference / "peers" / f"{name}.onnx")
    assert "\n" not in str(caught.value)
