"""Trained networks that are asked what they see and never change."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ffcore.errors import CheckpointError, ConfigError, ModelError, one_line
from ffcore.models.blocks.heads import RawOutputs
from ffcore.models.featherface import FeatherFace, Features
from ffcore.models.variants import variant_name

_QUIET = 4  # ONNX Runtime logs only what ends the process; everything else comes as an exception
_PROBE = (2, 3, 64, 96)  # of the input on which a file is compared with its network
_SMALLEST = torch.finfo(torch.float32).tiny


class Lesson(NamedTuple):
    """What a teacher says of a batch, without gradients."""

    outputs: RawOutputs
    """In the precision the teacher ran in; logits up to a number that both classes share."""
    features: Features | None
    """Its maps, where they were asked for."""


class Teacher(Protocol):
    """Says what it sees; no module, so that no objective that holds it trains it or writes it down."""

    @property
    def network(self) -> FeatherFace:
        """Its weights, frozen."""

    @property
    def gives_features(self) -> bool:
        """Whether it can be asked for its maps."""

    def __call__(self, pixels: Tensor, *, features: bool = False) -> Lesson:
        """Looks at a batch.

        Args:
            pixels: (B, 3, H, W) float32, BGR minus the mean.
            features: Whether the maps are wanted too.

        Returns:
            On the device of the pixels.
        """


class TorchTeacher:
    """A copy of a network in evaluation mode.

    Args:
        network: Trained; left as it is.
        device: Where it runs.
        dtype: Precision of its products and convolutions; None takes float16 on CUDA, whose numbers are
            finer than those of bfloat16 and large enough for these networks, and float32 elsewhere.

    Raises:
        ModelError: It is no trained FeatherFace network.
    """

    gives_features = True

    def __init__(
        self,
        network: FeatherFace,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype | None = None,
    ) -> None:
        check_trained(network)
        self._device = torch.device(device)
        self._dtype = dtype or (torch.float16 if self._device.type == "cuda" else torch.float32)
        self.network = frozen(network).to(device=self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.no_grad()
    def __call__(self, pixels: Tensor, *, features: bool = False) -> Lesson:
        """Looks at a batch; see `Teacher`."""
        asked = pixels.to(self._device).contiguous(memory_format=torch.channels_last)
        lower = self._dtype != torch.float32
        with torch.autocast(self._device.type, dtype=self._dtype if lower else None, enabled=lower):
            maps = self.network.features(asked)
            outputs = self.network.heads(maps.context)
        outputs = RawOutputs(*(value.to(pixels.device) for value in outputs))
        if not features:
            return Lesson(outputs, None)
        return Lesson(outputs, Features(*([x.to(pixels.device) for x in level] for level in maps)))


class OnnxTeacher:
    """A network that ONNX Runtime runs on the CPU, from a file exported from it.

    The file gives probabilities; their logarithms serve as logits, which distillation cannot tell from the
    network's own. That asks for the form "plain": ONNX Runtime's sigmoid, which the form "fast" ends with, is
    exact to 1e-7 only, its softmax to as much of every probability, and nearly all anchors see no face.
    It has no maps.

    Args:
        network: Trained, the one in the file; left as it is. Both are compared on a small input.
        path: What `ffcore.export.onnx_graph.export_onnx` wrote in the form "plain", of any size.
        threads: Of ONNX Runtime; those that wait do not spin, as the student wants the cores.

    Raises:
        ModelError: It is no trained FeatherFace network.
        CheckpointError: The file cannot be opened, or holds something else than this network.
        ConfigError: There is no thread.
    """

    gives_features = False

    def __init__(self, network: FeatherFace, path: str | Path, *, threads: int = 1) -> None:
        if threads < 1:
            raise ConfigError(f"threads = {threads}: 1 or more are needed")
        check_trained(network)
        self.network = frozen(network)
        self._path = Path(path)
        self._session = quiet_session(self._path, threads)
        self._input = self._session.get_inputs()[0].name
        self._compare()

    def __call__(self, pixels: Tensor, *, features: bool = False) -> Lesson:
        """Looks at a batch; see `Teacher`.

        Raises:
            ConfigError: Features are wanted.
            ModelError: ONNX Runtime fails.
        """
        if features:
            raise ConfigError("a teacher in ONNX gives no features; take TorchTeacher, or feature_weight = 0")
        try:
            found = self._run(pixels)
        except Exception as error:  # ONNX Runtime's exceptions have no common base below this
            shape = " × ".join(map(str, pixels.shape))
            raise ModelError(f"{self._path}: ONNX Runtime failed on {shape}: {one_line(error)}") from error
        boxes, classes, landmarks = (torch.from_numpy(value).to(pixels.device) for value in found)
        return Lesson(RawOutputs(boxes, classes.clamp(min=_SMALLEST).log(), landmarks), None)

    def _run(self, pixels: Tensor) -> list[NDArray[np.float32]]:
        found: list[NDArray[np.float32]] = self._session.run(
            None, {self._input: pixels.detach().to("cpu", torch.float32).contiguous().numpy()}
        )
        return found

    def _compare(self) -> None:
        """Refuses a file that does not compute what the network does."""
        probe = torch.rand(_PROBE, generator=torch.Generator().manual_seed(0)) * 255 - 110
        with torch.no_grad():
            boxes, logits, landmarks = self.network(probe)
        wanted = (boxes, logits.softmax(dim=-1), landmarks)
        try:
            found = self._run(probe)
        except Exception as error:  # as above
            raise CheckpointError(
                self._path, f"does not run on {_PROBE[2]} × {_PROBE[3]} pixels: {one_line(error)}"
            ) from error
        same = len(found) == 3 and all(
            value.shape == other.shape and np.allclose(value, other.numpy(), rtol=1e-3, atol=1e-3)
            for value, other in zip(found, wanted, strict=True)
        )
        if not same:
            name = variant_name(self.network.config)
            raise CheckpointError(
                self._path, f"does not compute what the teacher {name} does; export it from these weights"
            )
        sure = np.log(np.maximum(found[1], _SMALLEST))
        wanted_sure = (logits[..., 1] - logits[..., 0]).clamp(-80, 80).numpy()  # float32 has no e^-88
        if not np.allclose((sure[..., 1] - sure[..., 0]).clip(-80, 80), wanted_sure, atol=1e-3):
            raise CheckpointError(
                self._path, 'rounds small probabilities, which teach as well; export it with form="plain"'
            )


def check_trained(network: nn.Module) -> None:
    """Refuses what cannot teach.

    Args:
        network: Anything that was given as a teacher.

    Raises:
        ModelError: It is no FeatherFace network, a weight is not finite, or some of it was never trained:
            statistics of a BatchNorm are exactly as a fresh network has them.
    """
    if not isinstance(network, FeatherFace):
        raise ModelError(f"a teacher is a FeatherFace network with its weights, not {type(network).__name__}")
    name = variant_name(network.config)
    broken = [key for key, value in network.state_dict().items() if not value.isfinite().all()]
    if broken:
        raise ModelError(
            f"the teacher {name} has values that are no numbers ({broken[0]}); take other weights"
        )
    norms = {key: part for key, part in network.named_modules() if isinstance(part, _BatchNorm)}
    fresh = [key for key, norm in norms.items() if _is_fresh(norm)]
    if fresh:
        raise ModelError(
            f"the teacher {name} is not trained: {len(fresh)} of its {len(norms)} BatchNorms have seen no "
            f"image ({fresh[0]}); load the weights of a trained one"
        )


def frozen(network: FeatherFace) -> FeatherFace:
    """A copy in evaluation mode whose weights take no gradient."""
    return copy.deepcopy(network).eval().requires_grad_(False)


def _is_fresh(norm: _BatchNorm) -> bool:
    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None:
        return False
    return not bool(mean.any()) and bool((variance == 1).all())


def quiet_session(path: Path, threads: int) -> Any:
    """A session for a file that runs beside a training.

    Args:
        path: An ONNX file.
        threads: Of ONNX Runtime; those that wait do not spin, as the student wants the cores.

    Raises:
        CheckpointError: The file cannot be opened.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = _QUIET
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # batches come in several sizes: patterns of buffers would be kept for every one of them
    options.enable_mem_pattern = False
    try:
        # in files of other exporters, Pad_Fusion changes what the network computes
        return onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"], disabled_optimizers=["Pad_Fusion"]
        )
    except Exception as error:  # as above
        raise CheckpointError(path, f"ONNX Runtime cannot open it: {one_line(error)}") from error
