"""How sparse an encoder is, under the three denominators that papers mix up."""

from collections.abc import Mapping

from torch import Tensor, nn

from s3_speechbrain.layers import is_matrix, plain_name
from s3_speechbrain.masking.api import masks_of, renew_masks_
from s3_speechbrain.masking.parametrisation import SELECTION


def sparsity_report(
    encoder: nn.Module, masks: Mapping[str, Tensor] | None = None
) -> dict[str, float | dict[str, float]]:
    """Count the removed entries, as a fraction of several totals.

    Parameters
    ----------
    encoder : nn.Module
        Masked or not.
    masks : mapping of str to bool Tensor, optional
        By parameter name, weights and biases, True where an entry is kept; default the masks that the encoder's
        weights carry. Pruned weights may be bare, so their masks have to be given.

    Returns
    -------
    dict
        ``masked``: of the parameters that carry a mask; ``linears``: of all FFN and attention weights of the
        transformer, biases left out; ``model``: of all encoder parameters, scores not counted; ``per_layer``: of
        each masked weight, by dotted layer name. All in [0, 1]; 0 where there is nothing to count.
    """
    if masks is None:
        renew_masks_(encoder)
        masks = {f"{name}.weight": masked.keep for name, masked in masks_of(encoder).items()}
    total = {"masked": 0, "linears": 0, "model": 0}
    zeros = dict.fromkeys(total, 0)
    per_layer = {}
    for name, parameter in encoder.named_parameters():
        if name.endswith(SELECTION):
            continue  # not part of the encoder that is shipped
        name = plain_name(name)
        role = name.rpartition(".")[2]
        size = parameter.numel()
        counts = ["model"]
        if is_matrix(name):
            counts.append("linears")
        removed = 0
        if name in masks:
            counts.append("masked")
            keep = masks[name]  # a structured mask stands for several weights per entry
            removed = int((~keep).sum()) * (size // keep.numel())
            if is_matrix(name) or role == "weight":
                per_layer[name.removesuffix(".weight")] = removed / size
        for key in counts:
            total[key] += size
            zeros[key] += removed
    return {**{key: zeros[key] / max(total[key], 1) for key in total}, "per_layer": per_layer}
