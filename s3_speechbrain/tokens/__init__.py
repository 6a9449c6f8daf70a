"""Token removal: fewer frames for the transformer (SALAD of S6-DAMON, and what it is compared with)."""

from s3_speechbrain.tokens.calibration import threshold_for_keep_ratio, threshold_for_recall
from s3_speechbrain.tokens.config import (
    CALIBRATED,
    DETECTED,
    ORACLES,
    SELECTORS,
    TAUGHT,
    TokenConfig,
    make_selector,
)
from s3_speechbrain.tokens.detector import DetectorConfig, TokenDetector, detector_loss
from s3_speechbrain.tokens.files import DETECTOR_FILE, load_detector, save_detector
from s3_speechbrain.tokens.labels import BLANK_POLICIES, salient_frames
from s3_speechbrain.tokens.removal import Shortened, keep_frames, reinsert, shorten
from s3_speechbrain.tokens.scorers import not_blank_logit
from s3_speechbrain.tokens.selectors import CUTS, ConvSelector, ScoredSelector, TokenSelector

__all__ = [
    "BLANK_POLICIES",
    "CALIBRATED",
    "CUTS",
    "DETECTED",
    "DETECTOR_FILE",
    "ORACLES",
    "SELECTORS",
    "TAUGHT",
    "ConvSelector",
    "DetectorConfig",
    "ScoredSelector",
    "Shortened",
    "TokenConfig",
    "TokenDetector",
    "TokenSelector",
    "detector_loss",
    "keep_frames",
    "load_detector",
    "make_selector",
    "not_blank_logit",
    "reinsert",
    "salient_frames",
    "save_detector",
    "shorten",
    "threshold_for_keep_ratio",
    "threshold_for_recall",
]
