"""A whole distillation: from a teacher's weights to a folder with those of its student."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch

from ffcore.distillation.joint import JointNetwork, JointTeacher
from ffcore.distillation.objective import DistillationObjective
from ffcore.distillation.run_config import FROM_TEACHER, DistillationRunConfig
from ffcore.distillation.small_faces import SmallFaceTeacher, YuNet
from ffcore.distillation.teacher import OnnxTeacher, Teacher, TorchTeacher, check_trained
from ffcore.distributed import Processes
from ffcore.errors import ConfigError
from ffcore.events import Event, OnEvent, ignore
from ffcore.export.onnx_graph import export_onnx
from ffcore.models.featherface import FeatherFace
from ffcore.models.variants import variant_name
from ffcore.models.weights import load_network
from ffcore.training.data import read_data
from ffcore.training.job import TrainingResult, run_device, train
from ffcore.training.objective import Objective
from ffcore.training.run_config import RunConfig
from ffcore.training.validation import average_precision, ground_truth_of


@dataclass(frozen=True)
class TeacherScored(Event):
    """What the teacher itself can do on the photos held back.

    Args:
        name: Of its network; of several "v1 + v1-original".
        ap: Average precision by subset, 0 to 1.
    """

    name: str
    ap: Mapping[str, float]


def distill(
    config: DistillationRunConfig,
    folder: str | Path,
    *,
    resume: bool = False,
    device: str = "auto",
    threads: int | None = None,
    processes: Processes | None = None,
    on_event: OnEvent = ignore,
) -> TrainingResult:
    """Trains a student under a teacher.

    Args:
        config: Who learns what from whom.
        folder: As for `train`, likewise the rest.
        resume: Whether to go on from the last checkpoint.
        device: "auto", "cpu", "cuda" or "cuda:1".
        threads: Of the CPU.
        processes: Who takes part.
        on_event: Told about everything; first of all how good the teacher is, where photos are held back.

    Raises:
        ConfigError: No teacher is named, or as for `train`.
        CheckpointError: The teacher's weights cannot be loaded.
        ModelError: They were never trained.
        InputError: As for `train`.
        DivergedError: As for `train`.
    """
    if not config.teacher.weights:
        raise ConfigError("no teacher is named: say where its weights are (--teacher)")
    processes = processes or Processes()
    files = [Path(name) for name in config.teacher.weights]
    teachers = [load_network(file) for file in files]
    for teacher in teachers:
        check_trained(teacher)
    names = [variant_name(teacher.config) for teacher in teachers]
    opinion = None
    if config.teacher.small_faces:
        opinion = YuNet(config.teacher.small_faces, threads=threads or torch.get_num_threads())
    data = read_data(config.data, seed=config.seed)
    if processes.first and not resume and data.validation and config.validation.ap:
        photos = {image.name: image.path for image in data.validation}
        where = run_device(device, processes)
        joint = JointNetwork(teachers).to(where)
        ap = average_precision(joint, ground_truth_of(data.validation), photos, device=where)
        on_event(TeacherScored(" + ".join(names), ap))

    def objective(
        network: FeatherFace, run: RunConfig, processes: Processes, device: torch.device
    ) -> Objective:
        settings = cast(DistillationRunConfig, run)
        running = [
            _running(teacher, settings, device, threads=threads or torch.get_num_threads())
            for teacher in teachers
        ]
        speaking: Teacher = JointTeacher(running, together=settings.teacher.together)
        if opinion is not None:
            speaking = SmallFaceTeacher(speaking, opinion)
        return DistillationObjective(
            network,
            speaking,
            loss=run.loss,
            distillation=settings.distillation,
            config=run.forward,
            processes=processes,
        )

    said_by = [f"{name} ({file.name})" for name, file in zip(names, files, strict=True)]
    if opinion is not None:
        files.append(opinion.path)
        said_by.append(f"YuNet of small faces ({opinion.path.name})")
    return train(
        config,
        folder,
        data=data,
        resume=resume,
        device=device,
        threads=threads,
        processes=processes,
        make_objective=objective,
        backbone=files[0] if config.model.backbone == FROM_TEACHER else None,
        facts={
            "teacher": ", ".join(said_by),
            "teacher_sha256": ", ".join(hashlib.sha256(file.read_bytes()).hexdigest() for file in files),
        },
        on_event=on_event,
    )


def _running(
    teacher: FeatherFace, config: DistillationRunConfig, device: torch.device, *, threads: int
) -> Teacher:
    """The teacher in what is fastest for what is wanted of it."""
    runtime = config.teacher.runtime
    if runtime == "auto":
        wants_maps = config.distillation.feature_weight > 0
        runtime = "torch" if device.type == "cuda" or wants_maps else "onnxruntime"
    if runtime == "torch":
        return TorchTeacher(teacher, device=device)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "teacher.onnx"
        export_onnx(teacher.cpu(), path, form="plain")
        return OnnxTeacher(teacher, path, threads=threads)
