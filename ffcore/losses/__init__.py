"""What training minimises: matching of anchors to faces, and the MultiBox loss."""

from ffcore.losses.anchor_grid import AnchorGrid
from ffcore.losses.matching import Matches, match_anchors
from ffcore.losses.multibox import LossTerms, MultiBoxConfig, MultiBoxLoss
from ffcore.losses.targets import Targets

__all__ = ["AnchorGrid", "LossTerms", "Matches", "MultiBoxConfig", "MultiBoxLoss", "Targets", "match_anchors"]
