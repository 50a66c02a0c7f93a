"""A whole training run: from a configuration to a folder with weights."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ffcore._version import __version__
from ffcore.config.settings import apply_settings
from ffcore.detection.loading import tensors_file
from ffcore.distributed import Processes
from ffcore.errors import ConfigError, InputError, MissingDependencyError
from ffcore.events import OnEvent, ignore
from ffcore.losses.classes import set_prior
from ffcore.models.featherface import FeatherFace, build_network
from ffcore.models.variants import variant_config
from ffcore.models.weights import load_backbone, load_network
from ffcore.training.cpu import settings_for_training
from ffcore.training.data import RunData, read_data, training_batches, validation_batches
from ffcore.training.events import RunStarted
from ffcore.training.loop import Ending, Look, TrainingLoop
from ffcore.training.objective import DetectionObjective, Objective
from ffcore.training.run_config import RunConfig
from ffcore.training.run_folder import BEST, LAST, RunFolder
from ffcore.training.trainer import Trainer
from ffcore.training.validation import average_precision, ground_truth_of, validation_terms

MakeObjective = Callable[[FeatherFace, RunConfig, Processes, torch.device], Objective]


@dataclass(frozen=True)
class TrainingResult:
    """How a run ended.

    Args:
        ending: Why.
        folder: Of the run.
        weights: The best ones, or the last where nothing was held back; None when it was interrupted before
            there were any.
        best: What the best validation saw.
        steps: Batches taken, in earlier runs too.
    """

    ending: Ending
    folder: Path
    weights: Path | None
    best: Look | None
    steps: int


@settings_for_training()
def train(
    config: RunConfig,
    folder: str | Path,
    *,
    data: RunData | None = None,
    resume: bool = False,
    device: str = "auto",
    threads: int | None = None,
    processes: Processes | None = None,
    make_objective: MakeObjective | None = None,
    backbone: Path | None = None,
    facts: Mapping[str, str] | None = None,
    on_event: OnEvent = ignore,
) -> TrainingResult:
    """Trains a network.

    Args:
        config: What to train on what, and how.
        folder: Of the run. It must not exist or be empty, or hold this very run when `resume` is set.
        data: Its photos, where somebody has read them already; read as the configuration says when None.
        resume: Whether to go on from its last checkpoint; the outcome is that of an undisturbed run, on the
            CPU to the bit.
        device: "auto", "cpu", "cuda" or "cuda:1".
        threads: Of the CPU; a setting of the whole process, left alone when None.
        processes: Who takes part; this process alone when None. Each trains on its own share of each batch.
        make_objective: What is minimised, from network, configuration, processes and device; the detection
            loss when None.
        backbone: File to take the backbone from, in place of what the configuration says.
        facts: What else should be known about the weights.
        on_event: Told about everything that happens, on the first process.

    Raises:
        ConfigError: The configuration does not fit itself or the folder.
        InputError: Data or folder cannot be used.
        CheckpointError: First weights cannot be loaded.
        DivergedError: The loss is no number any more.
    """
    processes = processes or Processes()
    where = run_device(device, processes)
    if threads is not None:
        torch.set_num_threads(threads)
    torch.manual_seed(config.seed)
    data = data or read_data(config.data, seed=config.seed)
    network = first_network(config, backbone=backbone)
    objective = (make_objective or detection_objective)(network, config, processes, where)
    plan, loader = training_batches(
        data.train, config, processes=processes, pin=where.type == "cuda", on_event=on_event
    )
    trainer = Trainer(objective, config.train, batches_per_epoch=len(plan), device=where, processes=processes)
    look = _look(objective, data, config, where) if data.validation else None
    run, state = _open(folder, config, resume=resume, processes=processes, environment=environment(where))
    loop = TrainingLoop(
        trainer,
        config,
        run,
        plan=plan,
        loader=loader,
        look=look,
        facts={
            "trained_on": f"{len(data.train)} photos of {Path(config.data.path).name}",
            "trained_with": f"featherface {__version__}",
            **(facts or {}),
        },
        processes=processes,
        on_event=on_event,
    )
    if state is not None:
        loop.restore(state)
    if processes.first:
        on_event(
            RunStarted(
                folder=run.path,
                model=config.model.name,
                parameters=sum(p.numel() for p in network.parameters()),
                device=str(where),
                processes=processes.count,
                photos=len(data.train),
                held_back=len(data.validation),
                epochs=config.train.epochs,
                batches=len(plan),
                first_step=trainer.step,
            )
        )
    try:
        ending = loop.run()
    finally:
        run.close()
    weights = next((file for file in (run.path / BEST, run.path / LAST) if file.exists()), None)
    return TrainingResult(ending, run.path, weights, loop.best, trainer.step)


def first_network(config: RunConfig, *, backbone: Path | None = None) -> FeatherFace:
    """The network of a run before its first step.

    Fresh heads that learn by a focal loss begin with a small probability of faces: all anchors are in that
    loss, and thousands of wrong guesses would drown the rest.

    Args:
        config: Of the run.
        backbone: File to take the backbone from, in place of what the configuration says.

    Raises:
        ConfigError: A setting is impossible.
        UnknownModelError: No network has this name.
        CheckpointError: The weights cannot be loaded, or are those of another network.
    """
    model = config.model
    settings = apply_settings(variant_config(model.name), model.settings)
    network = build_network(settings)
    if config.loss.class_loss != "hard-negatives":
        set_prior(network.heads)
    if backbone is not None or model.backbone is not None:
        load_backbone(network, backbone or str(model.backbone))
    if model.weights is not None:
        given = load_network(tensors_file(model.weights))
        if given.config != settings:
            theirs, ours = given.config.to_dict(), settings.to_dict()
            apart = ", ".join(f"{key}={theirs[key]}" for key in theirs if theirs[key] != ours[key])
            raise ConfigError(
                f"{model.weights}: holds another network than {model.name} with its settings; it has {apart}"
            )
        network.load_state_dict(given.state_dict())
    return network


def detection_objective(
    network: FeatherFace,
    config: RunConfig,
    processes: Processes,
    device: torch.device,  # noqa: ARG001  (as `MakeObjective` says)
) -> Objective:
    """Labels against raw outputs, with the loss of the configuration."""
    return DetectionObjective(network, config.loss, config=config.forward, processes=processes)


def environment(device: torch.device) -> dict[str, Any]:
    """What should be known of machine and packages to make sense of a run later."""
    return {
        "featherface": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": platform.platform(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor(),
    }


def run_device(name: str, processes: Processes) -> torch.device:
    """The device that a process trains on.

    Args:
        name: "auto", "cpu", "cuda" or "cuda:1"; of several GPUs without a number each process takes its own.
        processes: Who takes part.

    Raises:
        ConfigError: There is no such device.
        MissingDependencyError: torch sees no GPU, and one is named.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"{name!r} is no device of torch; try auto, cpu or cuda") from None
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise MissingDependencyError("this torch sees no GPU; use --device cpu")
        if ":" not in name:
            device = torch.device("cuda", processes.rank % torch.cuda.device_count())
        torch.cuda.set_device(device)
    return device


def _open(
    folder: str | Path, config: RunConfig, *, resume: bool, processes: Processes, environment: dict[str, Any]
) -> tuple[RunFolder, dict[str, Any] | None]:
    """The folder and the state to go on from; every process learns of what went wrong on the first."""
    wrong: list[Exception] = []
    if processes.first:
        try:
            _begin(folder, config, resume=resume, environment=environment)
        except (ConfigError, InputError) as error:
            wrong.append(error)
    for found in processes.gather(wrong)[0]:
        raise found
    run = RunFolder(folder)
    state = run.read_checkpoint() if resume else None
    if state is not None and state["processes"] != processes.count:
        raise ConfigError(
            f"{folder}: was trained by {state['processes']} processes, not {processes.count}; "
            "the same number goes on"
        )
    return run, state


def _begin(folder: str | Path, config: RunConfig, *, resume: bool, environment: dict[str, Any]) -> None:
    if not resume:
        RunFolder.create(folder, config, environment=environment)
    elif RunFolder.open(folder, type(config)())[1] != config:
        raise ConfigError(f"{folder}: was begun with other settings; a run goes on as it began")


def _look(
    objective: Objective, data: RunData, config: RunConfig, device: torch.device
) -> Callable[[FeatherFace], Look]:
    """What validates, on the photos held back.

    Raises:
        InputError: Weights are to be judged by AP, and no face could be found.
    """
    batches = validation_batches(data.validation, config)
    # by number, as the names of a ground truth are those of a file in its folder alone, which two may share
    held = [replace(image, name=str(number)) for number, image in enumerate(data.validation)]
    truth = ground_truth_of(held) if config.validation.ap else None
    if config.stopping.metric == "ap" and truth and not any(kept.any() for kept in truth.kept.values()):
        raise InputError(
            f"stopping.metric = 'ap': the {len(held)} photos held back have no face that is large enough to "
            "count; hold others back, or go by the loss"
        )
    photos = {image.name: image.path for image in held}

    def look(network: FeatherFace) -> Look:
        terms = validation_terms(objective, batches, device=device)
        ap = {} if truth is None else average_precision(network, truth, photos, device=device)
        return Look(terms, ap)

    return look
