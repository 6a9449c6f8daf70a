"""Removing weights by magnitude: PARP (Lai et al., NeurIPS 2021) and what it is compared with.

Start with `prunable` and `magnitude_masks`. The rooms, in reading order:

============  ========================================================================================
`parameters`  which parameters compete: weights and biases of the six linears of each transformer layer
`magnitude`   weights -> masks, pure functions with exact counts
`schedules`   when PARP re-prunes, how PARP-P's sparsity grows, IMP's rounds
`verbs`       zero once, re-prune, hold a mask over weights, bake it in
`files`       the masks of a run as one file
`foreign`     the masks of another run, checked before a run begins with them
============  ========================================================================================
"""

from s3_speechbrain.pruning.files import load_masks, masks_about, save_masks
from s3_speechbrain.pruning.foreign import check_mask_file, foreign_masks
from s3_speechbrain.pruning.magnitude import (
    check_scope,
    check_sparsity,
    magnitude_masks,
    prune_further,
    random_masks,
    removed,
)
from s3_speechbrain.pruning.parameters import prunable
from s3_speechbrain.pruning.schedules import ParpSchedule, imp_share, imp_sparsities
from s3_speechbrain.pruning.verbs import bake_, check_fit, enforce_, enforced_masks, prune_once_, reprune_

__all__ = [
    "ParpSchedule",
    "bake_",
    "check_fit",
    "check_mask_file",
    "check_scope",
    "check_sparsity",
    "enforce_",
    "enforced_masks",
    "foreign_masks",
    "imp_share",
    "imp_sparsities",
    "load_masks",
    "magnitude_masks",
    "masks_about",
    "prunable",
    "prune_further",
    "prune_once_",
    "random_masks",
    "removed",
    "reprune_",
    "save_masks",
]
