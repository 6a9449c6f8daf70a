"""Masks over frozen weights: which connections of a pretrained encoder a language keeps (S3-Router).

Start with `mask_`: ``mask_(encoder, MaskConfig(sparsity=0.08))``. The rooms, in reading order:

=====================  ======================================================================
`config`               what to mask, how much and where the ranking happens
`selection`            scores -> mask: the exact top-k
`initialisation`       weights -> first scores
`straight_through`     mask and weights -> output, and the gradient of the scores
`parametrisation`      the scores, the mask and their place on a layer
`warm_start`           first scores from another language's mask
`groups`               which masks are ranked together, and when they are renewed
`thresholds`           one ranking of all matrices in which each has a threshold that trains
`api`, `report`        verbs on a whole encoder
`languages`            masks of several languages on one encoder
=====================  ======================================================================
"""

from s3_speechbrain.masking.api import (
    bake_,
    keep_masks,
    layers_of_masks,
    load_keep_masks_,
    mask_,
    masks_of,
    renew_masks_,
)
from s3_speechbrain.masking.config import MaskConfig
from s3_speechbrain.masking.languages import languages_of, mask_languages_, set_language_
from s3_speechbrain.masking.parametrisation import SELECTION, MaskedWeight
from s3_speechbrain.masking.report import sparsity_report
from s3_speechbrain.masking.warm_start import warm_start_

__all__ = [
    "SELECTION",
    "MaskConfig",
    "MaskedWeight",
    "bake_",
    "keep_masks",
    "languages_of",
    "layers_of_masks",
    "load_keep_masks_",
    "mask_",
    "mask_languages_",
    "masks_of",
    "renew_masks_",
    "set_language_",
    "sparsity_report",
    "warm_start_",
]
