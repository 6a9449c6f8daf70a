"""Removing weights by magnitude: masks, schedules and the verbs that apply them (PARP and its baselines)."""

from s3_speechbrain.pruning.files import load_masks, masks_about, save_masks

__all__ = ["load_masks", "masks_about", "save_masks"]
