"""Masks of another run: which methods begin with them, and whether a file holds what a run asks for."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from s3_speechbrain.errors import UserError
from s3_speechbrain.pruning.files import load_masks, masks_about
from s3_speechbrain.pruning.magnitude import removed
from s3_speechbrain.pruning.verbs import check_fit

TAKE_MASKS = ("parp", "parp_p", "foreign")  # methods that read mask_file
TOLERANCE = 5e-4  # between the sparsity asked for and that of masks that were rounded per matrix
ORIGIN = ("language", "task", "method", "sparsity", "seed")  # what a record keeps of where masks come from


def check_mask_file(method: str, path: str | Path | None) -> None:
    """Refuse a file of masks where the method makes its own, and the method ``foreign`` without one.

    Parameters
    ----------
    method : str
        A method of a pruning recipe.
    path : path, optional
        The setting ``mask_file``.

    Raises
    ------
    UserError
        If the two do not go together.
    """
    if path and method not in TAKE_MASKS:
        others = ", ".join(TAKE_MASKS)
        raise UserError(f"method {method} takes no mask_file: leave it out, or use one of {others}")
    if method == "foreign" and not path:
        raise UserError("missing --mask_file: give the mask.safetensors of another run")


def foreign_masks(
    path: str | Path,
    weights: Mapping[str, Tensor],
    sparsity: float,
    backbone: str,
    sha256: str | None = None,
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the masks of another run, and check that they are for these weights and of this sparsity.

    Parameters
    ----------
    path : path
        The setting ``mask_file``, a file from `save_masks`.
    weights : mapping of str to Tensor
        The pruned set, as from `prunable`.
    sparsity : float
        Fraction of the pruned set that they must remove, up to `TOLERANCE`.
    backbone : str
        What the record calls the encoder. A file that names none is believed to be of it.
    sha256 : str, optional
        Fingerprint of the encoder's weights, which are compared where the file tells them too.

    Returns
    -------
    masks : dict of str to bool Tensor
        By the names of `weights`, in their shapes.
    origin : dict
        What the file says of itself, for the record: those of `ORIGIN` that it names.

    Raises
    ------
    UserError
        If there is no such file, it is damaged, or of another backbone, pruned set or sparsity.
    """
    masks, about = load_masks(path), masks_about(path)
    theirs = about.get("backbone", backbone)
    if theirs != backbone:
        raise UserError(
            f"mask_file {path} is of the backbone {theirs}, this run of {backbone}: masks do not carry over"
        )
    weights_of = about.get("backbone_sha256")
    if weights_of and sha256 and weights_of != sha256:
        raise UserError(
            f"mask_file {path} is of a backbone {theirs} with other weights ({str(weights_of)[:12]}) than this run's "
            f"({sha256[:12]}): masks do not carry over"
        )
    check_fit(weights, masks)
    share = removed(masks) / sum(keep.numel() for keep in masks.values())
    if abs(share - sparsity) > TOLERANCE:
        raise UserError(
            f"mask_file {path} removes {share:.4g} of the weights, not {sparsity}: give masks of that "
            "sparsity, or another --sparsity"
        )
    return masks, {name: about[name] for name in ORIGIN if name in about}
