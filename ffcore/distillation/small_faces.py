"""A second opinion on small faces: YuNet beside a teacher that sees them badly."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ffcore.distillation.teacher import Lesson, Teacher, quiet_session
from ffcore.errors import CheckpointError, ConfigError, ModelError, one_line
from ffcore.geometry.anchors import PUBLISHED, anchors
from ffcore.geometry.coder import encode_boxes, encode_landmarks
from ffcore.geometry.resize import MEAN_BGR
from ffcore.models.blocks.heads import RawOutputs
from ffcore.models.featherface import FeatherFace

STRIDE = PUBLISHED.strides[0]
_SIZES = PUBLISHED.min_sizes[0]
_NEXT = PUBLISHED.min_sizes[1][0]
_EDGES = [0.0, *((near * far) ** 0.5 for near, far in pairwise([*_SIZES, _NEXT]))]
"""Sides in pixels of a square as large as a face: between two of them one size of anchor is nearest."""
LARGEST = _EDGES[-1]
"""From this side on a face is the business of the next stride."""
_SEEN = 0.1  # below this probability a box is none
_LEAST = 1e-6  # and 1 minus it are the probabilities that still have a logit
_MULTIPLE = 32  # of pixels that YuNet takes
_OUTPUTS = tuple(f"{name}_{STRIDE}" for name in ("cls", "obj", "bbox", "kps"))


class Opinion(NamedTuple):
    """What YuNet says of the cells of stride 8, row by row: (B, C, …)."""

    probability: NDArray[np.float32]
    """(B, C)."""
    boxes: NDArray[np.float32]
    """(B, C, 4), xyxy in pixels."""
    landmarks: NDArray[np.float32]
    """(B, C, 10), x y of five points in pixels."""


class YuNet:
    """YuNet (Wu et al. 2023, Machine Intelligence Research 20) at its finest stride, by ONNX Runtime.

    Args:
        path: `yunet_n_dynamic.onnx` of libfacedetection.train, or another export with its outputs and an
            input of any batch and size.
        threads: Of ONNX Runtime; those that wait do not spin.

    Raises:
        CheckpointError: The file cannot be opened, or is none of these.
        ConfigError: There is no thread.

    Attributes:
        path: As given.
    """

    def __init__(self, path: str | Path, *, threads: int = 1) -> None:
        if threads < 1:
            raise ConfigError(f"threads = {threads}: 1 or more are needed")
        self.path = Path(path)
        self._session = quiet_session(self.path, threads)
        inputs, outputs = self._session.get_inputs(), {x.name for x in self._session.get_outputs()}
        if len(inputs) != 1 or not outputs.issuperset(_OUTPUTS):
            raise CheckpointError(self.path, f"is no YuNet: it has no outputs {', '.join(_OUTPUTS)}")
        if any(isinstance(side, int) for side in [inputs[0].shape[0], *inputs[0].shape[2:]]):
            raise CheckpointError(
                self.path, f"takes {inputs[0].shape} alone; a YuNet of any batch and size is needed"
            )
        self._input = inputs[0].name

    def __call__(self, images: NDArray[np.float32]) -> Opinion:
        """Looks at (B, 3, H, W) float32, BGR in 0..255.

        Raises:
            ModelError: ONNX Runtime fails.
        """
        height, width = images.shape[2:]
        fill = [(0, 0), (0, 0), (0, -height % _MULTIPLE), (0, -width % _MULTIPLE)]
        padded = np.ascontiguousarray(np.pad(images, fill))
        try:
            found = self._session.run(list(_OUTPUTS), {self._input: padded})
        except Exception as error:  # ONNX Runtime's exceptions have no common base below this
            raise ModelError(f"{self.path}: ONNX Runtime failed: {one_line(error)}") from error
        rows, columns = -(-height // STRIDE), -(-width // STRIDE)
        shape = (len(images), padded.shape[2] // STRIDE, padded.shape[3] // STRIDE, -1)
        score, seen, box, points = (x.reshape(shape)[:, :rows, :columns] for x in found)
        corner = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).astype(np.float32)
        centre = (corner + box[..., :2]) * STRIDE
        half = np.exp(box[..., 2:]) * (STRIDE / 2)
        landmarks = (np.tile(corner, 5) + points) * STRIDE
        cells = rows * columns
        return Opinion(
            np.sqrt(score * seen).reshape(-1, cells),
            np.concatenate([centre - half, centre + half], axis=-1).reshape(-1, cells, 4),
            landmarks.reshape(-1, cells, 10),
        )


class SmallFaceTeacher:
    """A teacher who leaves small faces to YuNet.

    YuNet has one output a cell, the networks here one for each size of anchor. A face that it sees (p >= 0.1)
    at stride 8 is said, with its probability, box and landmarks, at the anchor of that cell whose size is
    nearest, 16 pixels below 22.6 and 32 from there to 45.3. At anchors of 16 pixels where it sees nothing its
    low probability is said. Everywhere else the teacher speaks.

    The public networks of this family see faces of 10 to 30 pixels less well than their students do in the
    end, and many not at all (docs/studies.md); YuNet was trained with positives chosen by cost (SimOTA).

    Args:
        teacher: Of everything else.
        opinion: Of small faces; takes (B, 3, H, W) float32 images, BGR in 0..255.
    """

    def __init__(self, teacher: Teacher, opinion: Callable[[NDArray[np.float32]], Opinion]) -> None:
        self._teacher = teacher
        self._opinion = opinion

    @property
    def network(self) -> FeatherFace:
        """The weights of the teacher."""
        return self._teacher.network

    @property
    def gives_features(self) -> bool:
        """Whether the teacher does."""
        return self._teacher.gives_features

    def __call__(self, pixels: Tensor, *, features: bool = False) -> Lesson:
        """Looks at a batch; see `Teacher`."""
        lesson = self._teacher(pixels, features=features)
        mean = np.asarray(MEAN_BGR, np.float32)[:, None, None]
        said = self._opinion(pixels.detach().to("cpu", torch.float32).numpy() + mean)
        height, width = pixels.shape[2:]
        table = anchors(height, width) * np.array([width, height] * 2, np.float32)
        side = np.sqrt((said.boxes[..., 2:] - said.boxes[..., :2]).prod(axis=-1))
        seen = said.probability >= _SEEN
        probability = said.probability.clip(_LEAST, 1 - _LEAST)
        logits = np.log(np.stack([1 - probability, probability], axis=-1))
        merged = [value.clone() for value in lesson.outputs]
        for size in range(len(_SIZES)):
            number = slice(size, said.probability.shape[1] * len(_SIZES), len(_SIZES))
            here = seen & (side >= _EDGES[size]) & (side < _EDGES[size + 1])
            # unseen at this stride it is no face of the smallest size; a larger one may be the next stride's
            heard = here | ~seen if size == 0 else here
            words = (
                (here, encode_boxes(said.boxes, table[number])),
                (heard, logits),
                (here, encode_landmarks(said.landmarks, table[number])),
            )
            for value, (where, word) in zip(merged, words, strict=True):
                chosen = torch.from_numpy(where)[..., None].to(value.device)
                value[:, number] = torch.where(chosen, torch.from_numpy(word).to(value), value[:, number])
        return lesson._replace(outputs=RawOutputs(*merged))
