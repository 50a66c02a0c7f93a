"""What training minimises: matching of anchors to faces, and the MultiBox loss with its alternatives."""

from ffcore.losses.anchor_grid import AnchorGrid
from ffcore.losses.atss import match_anchors_atss
from ffcore.losses.boxes import box_losses, box_quality
from ffcore.losses.classes import focal_losses, hardest_negatives, quality_focal_losses, set_prior
from ffcore.losses.matching import Matches, match_anchors
from ffcore.losses.multibox import LossTerms, MultiBoxConfig, MultiBoxLoss
from ffcore.losses.simota import match_anchors_simota
from ffcore.losses.targets import Targets

__all__ = [
    "AnchorGrid",
    "LossTerms",
    "Matches",
    "MultiBoxConfig",
    "MultiBoxLoss",
    "Targets",
    "box_losses",
    "box_quality",
    "focal_losses",
    "hardest_negatives",
    "match_anchors",
    "match_anchors_atss",
    "match_anchors_simota",
    "quality_focal_losses",
    "set_prior",
]
