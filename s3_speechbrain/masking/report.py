"""How sparse an encoder is, under the three denominators that papers mix up."""

from torch import nn

from s3_speechbrain.layers import group_of
from s3_speechbrain.masking.api import masks_of, renew_masks_


def sparsity_report(encoder: nn.Module) -> dict[str, float | dict[str, float]]:
    """Count the removed weights, as a fraction of several totals.

    Parameters
    ----------
    encoder : nn.Module
        Masked or not.

    Returns
    -------
    dict
        ``masked``: of the weights that carry a mask; ``linears``: of all FFN and attention weights of the
        transformer; ``model``: of all encoder parameters, scores not counted; ``per_layer``: of each masked
        weight, by dotted name. All in [0, 1]; 0 where there is nothing to count.
    """
    renew_masks_(encoder)
    masks = masks_of(encoder)
    total = {"masked": 0, "linears": 0, "model": 0}
    zeros = dict.fromkeys(total, 0)
    per_layer = {}
    for name, parameter in encoder.named_parameters():
        layer, _, role = name.replace(".parametrizations.weight.original", ".weight").rpartition(".")
        if role == "score":
            continue  # the scores are not part of the encoder that is shipped
        size = parameter.numel()
        counts = ["model"]
        if role == "weight" and group_of(layer) in ("ffn", "attention"):
            counts.append("linears")
        removed = 0
        if role == "weight" and layer in masks:
            counts.append("masked")
            keep = masks[layer].keep  # a structured mask stands for several weights per entry
            removed = int((~keep).sum()) * (size // keep.numel())
            per_layer[layer] = removed / size
        for key in counts:
            total[key] += size
            zeros[key] += removed
    return {**{key: zeros[key] / max(total[key], 1) for key in total}, "per_layer": per_layer}
