"""FeatherFace: faces and five landmarks from very small networks.

The names listed in ``__all__`` are the public surface. They are loaded on first use, so that
``import ffcore`` costs nothing and detecting through ONNX Runtime never touches torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ffcore._version import __version__

if TYPE_CHECKING:
    from ffcore.config.layers import Layer as Layer
    from ffcore.config.network import NetworkConfig as NetworkConfig
    from ffcore.data.augment import AugmentConfig as AugmentConfig
    from ffcore.data.batches import BatchPlan as BatchPlan
    from ffcore.data.dataset import FaceDataset as FaceDataset
    from ffcore.data.mixing import MixConfig as MixConfig
    from ffcore.data.reading import read_annotations as read_annotations
    from ffcore.detection.detector import Detection as Detection
    from ffcore.detection.detector import FaceDetector as FaceDetector
    from ffcore.detection.hold import hold_faces as hold_faces
    from ffcore.detection.job import Outputs as Outputs
    from ffcore.detection.job import detect_sources as detect_sources
    from ffcore.detection.options import DetectorOptions as DetectorOptions
    from ffcore.distillation.job import distill as distill
    from ffcore.distillation.objective import DistillationObjective as DistillationObjective
    from ffcore.distillation.run_config import DistillationRunConfig as DistillationRunConfig
    from ffcore.distillation.run_config import resolve_distillation as resolve_distillation
    from ffcore.errors import CheckpointError as CheckpointError
    from ffcore.errors import ConfigError as ConfigError
    from ffcore.errors import ExportError as ExportError
    from ffcore.errors import FeatherFaceError as FeatherFaceError
    from ffcore.errors import ImageError as ImageError
    from ffcore.errors import InputError as InputError
    from ffcore.errors import MissingDependencyError as MissingDependencyError
    from ffcore.errors import ModelError as ModelError
    from ffcore.errors import UnknownModelError as UnknownModelError
    from ffcore.evaluation.any_ground_truth import read_ground_truth as read_ground_truth
    from ffcore.evaluation.job import evaluate_detector as evaluate_detector
    from ffcore.evaluation.predictions import read_predictions as read_predictions
    from ffcore.evaluation.protocols import PROTOCOLS as PROTOCOLS
    from ffcore.evaluation.protocols import protocol as protocol
    from ffcore.evaluation.report import write_report as write_report
    from ffcore.evaluation.result import EvaluationResult as EvaluationResult
    from ffcore.evaluation.scoring import evaluate as evaluate
    from ffcore.export.onnx_graph import export_onnx as export_onnx
    from ffcore.faces import LANDMARK_NAMES as LANDMARK_NAMES
    from ffcore.faces import Faces as Faces
    from ffcore.geometry.alignment import align_face as align_face
    from ffcore.geometry.anchors import anchors as anchors
    from ffcore.images.anonymize import anonymize as anonymize
    from ffcore.images.decode import read_image as read_image
    from ffcore.images.draw import draw_faces as draw_faces
    from ffcore.images.encode import write_image as write_image
    from ffcore.images.sources import find_sources as find_sources
    from ffcore.jobs.run import detect_on_cluster as detect_on_cluster
    from ffcore.jobs.stages import DetectFaces as DetectFaces
    from ffcore.losses.anchor_grid import AnchorGrid as AnchorGrid
    from ffcore.losses.multibox import MultiBoxConfig as MultiBoxConfig
    from ffcore.losses.multibox import MultiBoxLoss as MultiBoxLoss
    from ffcore.losses.targets import Targets as Targets
    from ffcore.models.attention_maps import get_attention_maps as get_attention_maps
    from ffcore.models.averaging import average_networks as average_networks
    from ffcore.models.featherface import FeatherFace as FeatherFace
    from ffcore.models.featherface import build_network as build_network
    from ffcore.models.profile import profile as profile
    from ffcore.models.variants import VARIANTS as VARIANTS
    from ffcore.models.weights import load_backbone as load_backbone
    from ffcore.models.weights import load_network as load_network
    from ffcore.models.weights import read_checkpoint as read_checkpoint
    from ffcore.models.weights import save_network as save_network
    from ffcore.results.coco import read_coco_results as read_coco_results
    from ffcore.results.coco import write_coco as write_coco
    from ffcore.results.image_faces import ImageFaces as ImageFaces
    from ffcore.results.opencv import from_opencv as from_opencv
    from ffcore.results.opencv import to_opencv as to_opencv
    from ffcore.results.supervision import from_supervision as from_supervision
    from ffcore.results.supervision import to_supervision as to_supervision
    from ffcore.training.events import StepDone as StepDone
    from ffcore.training.events import Validated as Validated
    from ffcore.training.health import DivergedError as DivergedError
    from ffcore.training.job import TrainingResult as TrainingResult
    from ffcore.training.job import train as train
    from ffcore.training.objective import DetectionObjective as DetectionObjective
    from ffcore.training.plots import plot_run as plot_run
    from ffcore.training.run_config import RunConfig as RunConfig
    from ffcore.training.run_config import preset as preset
    from ffcore.training.run_config import resolve_run as resolve_run
    from ffcore.training.tensorboard import TensorBoardWriter as TensorBoardWriter
    from ffcore.training.trainer import Trainer as Trainer

_HOME: dict[str, str] = {
    "AnchorGrid": "ffcore.losses.anchor_grid",
    "AugmentConfig": "ffcore.data.augment",
    "BatchPlan": "ffcore.data.batches",
    "CheckpointError": "ffcore.errors",
    "ConfigError": "ffcore.errors",
    "DetectFaces": "ffcore.jobs.stages",
    "Detection": "ffcore.detection.detector",
    "DetectionObjective": "ffcore.training.objective",
    "DetectorOptions": "ffcore.detection.options",
    "DistillationObjective": "ffcore.distillation.objective",
    "DistillationRunConfig": "ffcore.distillation.run_config",
    "DivergedError": "ffcore.training.health",
    "EvaluationResult": "ffcore.evaluation.result",
    "ExportError": "ffcore.errors",
    "FaceDataset": "ffcore.data.dataset",
    "FaceDetector": "ffcore.detection.detector",
    "Faces": "ffcore.faces",
    "FeatherFace": "ffcore.models.featherface",
    "FeatherFaceError": "ffcore.errors",
    "ImageError": "ffcore.errors",
    "ImageFaces": "ffcore.results.image_faces",
    "InputError": "ffcore.errors",
    "LANDMARK_NAMES": "ffcore.faces",
    "Layer": "ffcore.config.layers",
    "MissingDependencyError": "ffcore.errors",
    "MixConfig": "ffcore.data.mixing",
    "ModelError": "ffcore.errors",
    "MultiBoxConfig": "ffcore.losses.multibox",
    "MultiBoxLoss": "ffcore.losses.multibox",
    "NetworkConfig": "ffcore.config.network",
    "Outputs": "ffcore.detection.job",
    "PROTOCOLS": "ffcore.evaluation.protocols",
    "RunConfig": "ffcore.training.run_config",
    "StepDone": "ffcore.training.events",
    "Targets": "ffcore.losses.targets",
    "TensorBoardWriter": "ffcore.training.tensorboard",
    "Trainer": "ffcore.training.trainer",
    "TrainingResult": "ffcore.training.job",
    "UnknownModelError": "ffcore.errors",
    "VARIANTS": "ffcore.models.variants",
    "Validated": "ffcore.training.events",
    "align_face": "ffcore.geometry.alignment",
    "anchors": "ffcore.geometry.anchors",
    "anonymize": "ffcore.images.anonymize",
    "average_networks": "ffcore.models.averaging",
    "build_network": "ffcore.models.featherface",
    "detect_on_cluster": "ffcore.jobs.run",
    "detect_sources": "ffcore.detection.job",
    "distill": "ffcore.distillation.job",
    "draw_faces": "ffcore.images.draw",
    "evaluate": "ffcore.evaluation.scoring",
    "evaluate_detector": "ffcore.evaluation.job",
    "export_onnx": "ffcore.export.onnx_graph",
    "find_sources": "ffcore.images.sources",
    "from_opencv": "ffcore.results.opencv",
    "from_supervision": "ffcore.results.supervision",
    "get_attention_maps": "ffcore.models.attention_maps",
    "hold_faces": "ffcore.detection.hold",
    "load_backbone": "ffcore.models.weights",
    "load_network": "ffcore.models.weights",
    "plot_run": "ffcore.training.plots",
    "preset": "ffcore.training.run_config",
    "profile": "ffcore.models.profile",
    "protocol": "ffcore.evaluation.protocols",
    "read_annotations": "ffcore.data.reading",
    "read_checkpoint": "ffcore.models.weights",
    "read_coco_results": "ffcore.results.coco",
    "read_ground_truth": "ffcore.evaluation.any_ground_truth",
    "read_image": "ffcore.images.decode",
    "read_predictions": "ffcore.evaluation.predictions",
    "resolve_distillation": "ffcore.distillation.run_config",
    "resolve_run": "ffcore.training.run_config",
    "save_network": "ffcore.models.weights",
    "to_opencv": "ffcore.results.opencv",
    "to_supervision": "ffcore.results.supervision",
    "train": "ffcore.training.job",
    "write_coco": "ffcore.results.coco",
    "write_image": "ffcore.images.encode",
    "write_report": "ffcore.evaluation.report",
}
"""Where each public name lives."""

__all__ = ["__version__", *_HOME]  # one table, not two


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'ffcore' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
