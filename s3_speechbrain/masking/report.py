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
        weight, by dotted name. All in [0, 1]; 0 where there is nothing to count. ``linears`` counts zeros in
        FFN and attention weights only.
    """
    renew_masks_(encoder)
    masks = masks_of(encoder)
    total: dict[str, int] = {"masked": 0, "linears": 0, "model": 0}
    for name, parameter in encoder.named_parameters():
        layer, _, rest = name.partition(".parametrizations.weight.")
        if rest and rest != "original":
            continue  # scores are not parameters of the encoder
        total["model"] += parameter.numel()
        is_weight = rest == "original" or name.endswith(".weight")
        layer = layer if rest else name.removesuffix(".weight")
        total["masked"] += parameter.numel() if is_weight and layer in masks else 0
        total["linears"] += parameter.numel() if is_weight and group_of(layer) in ("ffn", "attention") else 0
    removed = {name: 1 - float(masked.keep.double().mean()) for name, masked in masks.items()}
    size = {name: encoder.get_submodule(name).parametrizations.weight.original.numel() for name in masks}
    zeros = {name: round(removed[name] * size[name]) for name in masks}
    in_linears = sum(count for name, count in zeros.items() if group_of(name) in ("ffn", "attention"))
    of = {"masked": sum(zeros.values()), "linears": in_linears, "model": sum(zeros.values())}
    fractions = {key: of[key] / total[key] if total[key] else 0.0 for key in total}
    return {**fractions, "per_layer": {name: zeros[name] / size[name] for name in masks}}
