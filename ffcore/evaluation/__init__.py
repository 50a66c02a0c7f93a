"""Average precision by the rules of WIDER FACE, for its three subsets or for bands of face height.

Ground truth and predictions are read into flat arrays, matched once, and counted for every subset::

    truth = read_wider_ground_truth("ground_truth")
    result = evaluate(truth, read_predictions("predictions", truth))

Needs NumPy; SciPy too where the official ``.mat`` files are read, matplotlib where curves are drawn.
"""

from __future__ import annotations

from ffcore.evaluation.ground_truth import HEIGHT_BANDS, GroundTruth, image_key, read_image_list
from ffcore.evaluation.labels import read_coco_ground_truth, read_yolo_ground_truth
from ffcore.evaluation.plots import plot_by_event, plot_by_height, plot_curves
from ffcore.evaluation.predictions import Predictions, predictions_from_faces, read_predictions
from ffcore.evaluation.result import EvaluationResult, SubsetScore, ap_drops, read_result, write_result
from ffcore.evaluation.scoring import (
    Matched,
    evaluate,
    match_predictions,
    score,
    score_by_event,
    score_by_height,
)
from ffcore.evaluation.wider_mat import read_wider_ground_truth
from ffcore.evaluation.worst import ImageErrors, worst_images

__all__ = [
    "HEIGHT_BANDS",
    "EvaluationResult",
    "GroundTruth",
    "ImageErrors",
    "Matched",
    "Predictions",
    "SubsetScore",
    "ap_drops",
    "evaluate",
    "image_key",
    "match_predictions",
    "plot_by_event",
    "plot_by_height",
    "plot_curves",
    "predictions_from_faces",
    "read_coco_ground_truth",
    "read_image_list",
    "read_predictions",
    "read_result",
    "read_wider_ground_truth",
    "read_yolo_ground_truth",
    "score",
    "score_by_event",
    "score_by_height",
    "worst_images",
    "write_result",
]
