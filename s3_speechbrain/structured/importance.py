"""How much a unit matters: the mean magnitude of its weights, and how scores of unlike units compare."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from s3_speechbrain.errors import UserError
from s3_speechbrain.structured.units import UnitGroup, parameter_at, per_unit

SIDES = ("unit", "columns")
SCALES = ("none", "kind", "group", "rank")


def magnitude(encoder: nn.Module, units: Mapping[str, UnitGroup], side: str = "unit") -> dict[str, Tensor]:
    """Score units by the mean absolute value of their weights: L1 norm divided by size.

    The division lets heads, with some hundred thousand weights each, and neurons compete in one ranking.

    Parameters
    ----------
    encoder : nn.Module
        As for `find_units`; weights below a mask count as they are.
    units : mapping of str to UnitGroup
        The units to score.
    side : {"unit", "columns"}
        All weights and biases of a unit, or its output side alone.

    Returns
    -------
    dict of str to Tensor
        By group, one score per unit, float64, on the CPU.

    Raises
    ------
    UserError
        If there is no such side.
    """
    if side not in SIDES:
        raise UserError(f"side is {side!r}: choose one of {', '.join(SIDES)}.")
    found = {}
    for name, group in units.items():
        parts = group.parts if side == "unit" else (group.columns,)
        sides = [per_unit(parameter_at(encoder, part.parameter).detach().abs(), part) for part in parts]
        total = sum(values.sum(1, dtype=torch.float64) for values in sides)
        found[name] = (total / sum(values.shape[1] for values in sides)).cpu()
    return found


def chance(units: Mapping[str, UnitGroup], seed: int) -> dict[str, Tensor]:
    """Score units at random, uniformly between 0 and 1; the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.rand(group.count, generator=generator).double() for name, group in units.items()}


def comparable(scores: Mapping[str, Tensor], scale: str) -> dict[str, Tensor]:
    """Divide scores by the mean of their like, so that units of another kind or layer compete fairly.

    Parameters
    ----------
    scores : mapping of str to Tensor
        By group, 0 or more, one per unit.
    scale : {"none", "kind", "group", "rank"}
        Leave them; divide by the mean over all units of the kind; or of the group, one kind in one layer. ``rank``
        puts in their place the share of the group that is not better, so that every layer keeps the same share.

    Returns
    -------
    dict of str to Tensor
        New scores, float64; where the mean is 0 they stay 0.

    Raises
    ------
    UserError
        If there is no such scale.
    """
    if scale not in SCALES:
        raise UserError(f"scale is {scale!r}: choose one of {', '.join(SCALES)}.")
    found = {name: values.double() for name, values in scores.items()}
    if scale == "none":
        return found
    if scale == "rank":
        return {name: _share_not_better(values) for name, values in found.items()}
    like: dict[str, list[str]] = {}
    for name in found:
        like.setdefault(name if scale == "group" else name.partition(".")[0], []).append(name)
    for names in like.values():
        mean = torch.cat([found[name] for name in names]).mean()
        for name in names:
            found[name] = found[name] / mean if mean > 0 else found[name]
    return found


def _share_not_better(scores: Tensor) -> Tensor:
    order = scores.argsort(descending=True, stable=True)
    shares = torch.empty_like(scores)
    shares[order] = 1 - torch.arange(len(scores), dtype=scores.dtype) / len(scores)
    return shares
