"""How much of an encoder is removed, in units, weights and MACs."""

from collections.abc import Mapping
from math import prod
from typing import Any

from torch import Tensor, nn

from s3_speechbrain.layers import group_of, plain_name
from s3_speechbrain.structured.costs import unit_cost
from s3_speechbrain.structured.selection import counts_of
from s3_speechbrain.structured.units import UnitGroup, parameter_at


def unit_sparsity(
    encoder: nn.Module, units: Mapping[str, UnitGroup], keep: Mapping[str, Tensor]
) -> dict[str, float | dict[str, float]]:
    """Count the removed weights, as a fraction of several totals.

    Parameters
    ----------
    encoder : nn.Module
        Before slicing.
    units, keep : mapping
        Its units, and which are active, by group.

    Returns
    -------
    dict
        The fields of `s3_speechbrain.masking.sparsity_report`: ``masked``, of the parameters of the units;
        ``linears``, of all FFN and attention weights of the transformer; ``model``, of all encoder parameters;
        ``per_layer``, of the units in each module that holds some.
    """
    counts = counts_of(keep)
    found: dict[str, Any] = {}
    for field, budget in (("masked", "units"), ("model", "parameters")):
        cost = unit_cost(encoder, units, budget)
        found[field] = 1 - cost.total(counts) / cost.total(cost.dense)
    removed = 0
    for name, group in units.items():
        for part in group.parts:
            layer, _, role = part.parameter.rpartition(".")
            if role == "weight" and group_of(layer) in ("ffn", "attention"):
                size = prod(parameter_at(encoder, part.parameter).shape)
                removed += size * (group.count - counts[name]) // group.count
    found["linears"] = removed / _linears(encoder)
    found["per_layer"] = {group.place: 1 - counts[name] / group.count for name, group in units.items()}
    return found


def _linears(encoder: nn.Module) -> int:
    return sum(
        prod(parameter_at(encoder, f"{name}.weight").shape)
        for name, layer in encoder.named_modules()
        if isinstance(layer, nn.Linear) and group_of(name) in ("ffn", "attention")
    )


def layer_table(units: Mapping[str, UnitGroup], keep: Mapping[str, Tensor]) -> dict[str, list[int]]:
    """Return kept and present units of each group, by name: ``{"heads.0": [5, 12], ...}``."""
    return {name: [int(keep[name].sum()), group.count] for name, group in units.items()}


def surviving(encoder: nn.Module, units: Mapping[str, UnitGroup], keep: Mapping[str, Tensor]) -> list[Tensor]:
    """Return the trained parameters of an encoder without the entries of removed units.

    Parameters
    ----------
    encoder, units, keep
        As for `unit_sparsity`.

    Returns
    -------
    list of Tensor
        Those with `requires_grad`, in network order; the vector that SpecAugment masks with is not among them.
    """
    found = []
    for name, value in encoder.named_parameters():
        if not value.requires_grad or name.endswith("mask_vector"):
            continue
        for group_name, group in units.items():
            for part in group.parts:
                if part.parameter == plain_name(name):
                    index = keep[group_name].repeat_interleave(part.width).nonzero().flatten()
                    value = value.detach().index_select(part.axis, index.to(value.device))
        found.append(value)
    return found
