from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ffcore.detection import DetectorFacts, FaceDetector
from ffcore.errors import ConfigError, MissingDependencyError, ModelError
from tests.detection.toys import STRIDES, ToyBackend, photo

torch = pytest.importorskip("torch")

from ffcore.detection.torch_backend import TorchBackend  # noqa: E402  # after the skip


class Toy(torch.nn.Module):
    """The rule of the toys as a module that gives logits."""

    def forward(self, x):
        faces = []
        for stride in STRIDES:
            mean = torch.nn.functional.avg_pool2d(x[:, :1], stride) + 104 - 200
            faces.append(torch.stack((mean, torch.full_like(mean, -50)), -1).flatten(1))
        face = torch.cat(faces, 1)
        logits = torch.stack((torch.zeros_like(face), face), -1)
        b, a = face.shape
        return torch.zeros(b, a, 4), logits, torch.zeros(b, a, 10)


PHOTOS = np.stack([photo(64, 96, (8, 16, 8)), photo(64, 96, (32, 32, 16))])


def test_a_module_gives_probabilities_in_numpy() -> None:
    backend = TorchBackend(Toy().eval(), device="cpu")
    found, expected = backend.run(PHOTOS), ToyBackend().run(PHOTOS)
    assert np.abs(found.scores - expected.scores).max() < 1e-5
    assert (backend.device, found.scores.dtype) == ("cpu", np.float32)


def test_rgb_networks_get_rgb() -> None:
    backend = TorchBackend(Toy().eval(), facts=DetectorFacts(channel_order="RGB", mean=(104, 0, 0)))
    red = np.zeros((1, 32, 32, 3), np.uint8)
    red[..., 2] = 255
    assert backend.run(red).scores.max() > 0.99
    assert backend.run(red[..., ::-1]).scores.max() < 0.01


def test_a_network_in_training_mode_is_an_error() -> None:
    with pytest.raises(ConfigError, match="eval"):
        TorchBackend(Toy().train())


def test_threads_are_only_touched_when_given() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        TorchBackend(Toy().eval())
        assert torch.get_num_threads() == 2
        TorchBackend(Toy().eval(), threads=1)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
    with pytest.raises(ConfigError, match="at least 1"):
        TorchBackend(Toy().eval(), threads=0)


def test_an_unknown_device_is_an_error() -> None:
    with pytest.raises(ConfigError, match="'cudda'"):
        TorchBackend(Toy().eval(), device="cudda")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_a_device_that_is_not_there_is_one_line() -> None:
    with pytest.raises(MissingDependencyError, match="cuda") as caught:
        TorchBackend(torch.nn.Sequential(torch.nn.Conv2d(3, 3, 1)).eval(), device="cuda")
    assert "\n" not in str(caught.value)


def test_a_failing_network_is_a_model_error_in_one_line() -> None:
    class Broken(torch.nn.Module):
        def forward(self, x):
            raise RuntimeError("out of memory\nlong story")

    with pytest.raises(ModelError, match="2 x 64 x 96 pixels on cpu: out of memory") as caught:
        TorchBackend(Broken().eval(), device="cpu").run(PHOTOS)
    assert "\n" not in str(caught.value)


@pytest.mark.reference
@pytest.mark.parametrize("name", ["v1", "v1_original", "v2_ca"])
def test_published_weights_give_the_published_probabilities(name: str, reference: Path) -> None:
    inputs = np.load(reference / "golden" / "inputs.npz")
    golden = np.load(reference / "golden" / f"{name}_public.npz")
    backend = FaceDetector.load(reference / "weights" / f"{name}_public.pth", device="cpu").backend
    for size in ("64x64", "97x131", "160x256_b2"):
        raw = backend.run(inputs[size])
        assert np.abs(raw.scores - golden[f"{size}/prob"][..., 1]).max() <= 2e-5
        assert np.abs(raw.boxes - golden[f"{size}/bbox"]).max() <= 1e-4
        assert np.abs(raw.landmarks - golden[f"{size}/landm"]).max() <= 1e-4
