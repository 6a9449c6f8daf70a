"""How much a unit matters: the mean magnitude of its weights."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from s3_speechbrain.errors import UserError
from s3_speechbrain.structured.units import UnitGroup, parameter_at, per_unit

SIDES = ("unit", "columns")


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
