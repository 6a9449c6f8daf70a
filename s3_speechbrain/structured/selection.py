"""Which units stay, as pure functions of scores, costs and a budget.

The rule: list the units from the best score down, equal ones by position; go down the list and keep every unit
that still fits into the budget. The floor of each layer, its best units, is kept first. So the budget is never
exceeded, and what is left of it is less than any removed unit costs.
"""

from collections.abc import Iterable, Mapping
from fractions import Fraction

import torch
from torch import Tensor

from s3_speechbrain.errors import UserError
from s3_speechbrain.structured.costs import Cost

Unit = tuple[str, int]  # a group's name and the number of a unit in it


def select(
    scores: Mapping[str, Tensor], cost: Cost, budget: int, floor: Mapping[str, int]
) -> dict[str, Tensor]:
    """Keep the best units of all layers together within a budget.

    Parameters
    ----------
    scores : mapping of str to Tensor
        By group, one score per unit; larger is better, over all groups in one ranking.
    cost : Cost
        Of the same groups.
    budget : int
        The largest cost allowed.
    floor : mapping of str to int
        By kind, how many units of each layer stay whatever their score; a kind that is not named has none.

    Returns
    -------
    dict of str to bool Tensor
        By group, True for what stays.

    Raises
    ------
    UserError
        If the floor alone exceeds the budget, or a score is not a number.
    """
    order = ranking(scores)
    keep = {name: torch.zeros(len(values), dtype=torch.bool) for name, values in scores.items()}
    _mark_(keep, _floor_units(order, floor))
    spent = cost.total(counts_of(keep))
    if spent > budget:
        raise UserError(
            f"The floor of {dict(floor)} units per layer costs {spent}, more than the budget of {budget}: lower it."
        )
    return _fill(keep, order, cost, budget)


def adjust(
    keep: Mapping[str, Tensor],
    weights: Mapping[str, Tensor],
    gradients: Mapping[str, Tensor],
    drop: float,
    cost: Cost,
    budget: int,
    floor: Mapping[str, int],
) -> dict[str, Tensor]:
    """Drop the active units that matter least and grow others in their place (SAFARI's third step).

    From the smallest weight up, active units go as long as all that go together cost at most the fraction `drop`
    of what the active units cost; the best ones of each layer, its floor, never go. The room is filled by the
    rule above: first units that were inactive, by their gradient, then, if some room is left, by their weight
    those that have just gone.

    Parameters
    ----------
    keep : mapping of str to bool Tensor
        The units that are active now, by group.
    weights, gradients : mapping of str to Tensor
        One score per unit, by group: size of the weights, and of the dense gradients.
    drop : float
        In [0, 1].
    cost, budget, floor
        As for `select`.

    Returns
    -------
    dict of str to bool Tensor
        The units that are active from now on.
    """
    order = ranking(weights)
    active = [unit for unit in order if keep[unit[0]][unit[1]]]
    safe = set(_floor_units(active, floor))
    counts = counts_of(keep)
    allowed = Fraction(repr(float(drop))) * (cost.total(counts) - cost.least)
    dropped: list[Unit] = []
    for name, index in reversed(active):
        if (name, index) in safe:
            continue
        counts[name] -= 1
        allowed -= cost.of_one(name, counts)
        if allowed < 0:
            break
        dropped.append((name, index))
    left = {name: mask.clone() for name, mask in keep.items()}
    _mark_(left, dropped, False)
    fresh = [unit for unit in ranking(gradients) if not keep[unit[0]][unit[1]]]
    return _fill(left, [*fresh, *reversed(dropped)], cost, budget)


def ranking(scores: Mapping[str, Tensor]) -> list[Unit]:
    """List all units from the largest score down, equal ones by position.

    Raises
    ------
    UserError
        If a score is not a number.
    """
    units = [(name, index) for name, values in scores.items() for index in range(len(values))]
    values = torch.cat([values.detach().cpu().double() for values in scores.values()])
    if bool(values.isnan().any()):
        raise UserError("Some scores of units are not numbers: training diverged, lower the learning rate.")
    return [units[place] for place in values.argsort(descending=True, stable=True).tolist()]


def counts_of(keep: Mapping[str, Tensor]) -> dict[str, int]:
    """Count the kept units of each group."""
    return {name: int(mask.sum()) for name, mask in keep.items()}


def _floor_units(order: Iterable[Unit], floor: Mapping[str, int]) -> list[Unit]:
    """Return the first units of each group in an order, as many as the floor of its kind says."""
    taken: dict[str, int] = {}
    found = []
    for name, index in order:
        if taken.get(name, 0) < floor.get(name.partition(".")[0], 0):
            taken[name] = taken.get(name, 0) + 1
            found.append((name, index))
    return found


def _mark_(keep: Mapping[str, Tensor], units: Iterable[Unit], value: bool = True) -> None:
    by_group: dict[str, list[int]] = {}
    for name, index in units:
        by_group.setdefault(name, []).append(index)
    for name, places in by_group.items():
        keep[name][places] = value


def _fill(keep: dict[str, Tensor], order: Iterable[Unit], cost: Cost, budget: int) -> dict[str, Tensor]:
    """Go down an order and keep every unit that still fits; those kept already do not count twice."""
    counts = counts_of(keep)
    left = budget - cost.total(counts)
    held = {name: mask.tolist() for name, mask in keep.items()}
    for name, index in order:
        if held[name][index]:
            continue
        price = cost.of_one(name, counts)
        if price <= left:
            held[name][index] = True
            counts[name] += 1
            left -= price
    return {name: torch.tensor(mask, dtype=torch.bool) for name, mask in held.items()}
