"""The cost of units is exactly what slicing them off saves, in every family."""

import copy

import pytest
import torch
from families import make_family
from structured_tools import ALL, FAMILIES, random_keep

from s3_speechbrain.errors import UserError
from s3_speechbrain.macs import count_macs
from s3_speechbrain.structured.costs import Cost, Term, unit_cost
from s3_speechbrain.structured.selection import counts_of
from s3_speechbrain.structured.slicing import slice_
from s3_speechbrain.structured.units import find_units

SECONDS = 1.3


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kinds", [("heads", "neurons"), ALL])
def test_totals_are_those_of_the_sliced_encoder(family, kinds):
    encoder = make_family(family)
    units = find_units(encoder, kinds)
    keep = random_keep(encoder, 1, kinds, least=1)
    costs = {
        name: unit_cost(encoder, units, name, SECONDS)
        for name in ("parameters", "transformer_macs", "total_macs")
    }
    dense = {name: cost.total(cost.dense) for name, cost in costs.items()}
    sliced = copy.deepcopy(encoder)
    slice_(sliced, keep)
    for model, found in ((encoder, dense), (sliced, {n: c.total(counts_of(keep)) for n, c in costs.items()})):
        macs = count_macs(model, SECONDS)
        assert found["parameters"] == sum(parameter.numel() for parameter in model.parameters())
        assert found["transformer_macs"] == macs.transformer
        assert found["total_macs"] == macs.total


def test_one_more_unit_adds_what_the_total_grows_by():
    encoder = make_family("wav2vec2-layer")
    units = find_units(encoder, ALL)
    counts = {name: group.count // 2 for name, group in units.items()}
    for budget in ("units", "parameters", "transformer_macs", "total_macs"):
        cost = unit_cost(encoder, units, budget, SECONDS)
        for name in units:
            more = {**counts, name: counts[name] + 1}
            assert cost.of_one(name, counts) == cost.total(more) - cost.total(counts)


def test_numbers_worked_by_hand():
    encoder = make_family("wav2vec2-layer")  # width 32, 4 heads of 8, 64 neurons, 3 layers
    units = find_units(encoder)
    cost = unit_cost(encoder, units, "units")
    counts = dict.fromkeys(units, 0)
    assert cost.of_one("neurons.0", counts) == 32 + 1 + 32
    assert cost.of_one("heads.2", counts) == 3 * (8 * 32 + 8) + 32 * 8
    assert cost.total(counts) == 0
    assert cost.total(cost.dense) == 3 * (64 * 65 + 4 * 1048)
    frames = 64  # of 1.3 s
    macs = unit_cost(encoder, units, "transformer_macs", SECONDS)
    assert macs.of_one("heads.1", counts) == 4 * 32 * 8 * frames + 2 * frames * frames * 8
    assert macs.of_one("neurons.1", counts) == 2 * 32 * frames


def test_budgets_are_decimal_fractions_and_must_be_possible():
    cost = Cost([Term(300), Term(7, ("a",))], {"a": 100})
    assert cost.budget(0.9) == 900
    assert cost.budget(1.0) == 1000
    assert cost.budget(0.3) == cost.least == 300
    with pytest.raises(UserError, match=r"0\.300 remains"):
        cost.budget(0.29)
    for wrong in (0.0, 1.1, -1.0, float("nan")):
        with pytest.raises(UserError, match="above 0"):
            cost.budget(wrong)
    with pytest.raises(UserError, match="budget is 'flops'"):
        unit_cost(torch.nn.Identity(), {}, "flops")


def test_kinds_that_do_not_exist_are_told():
    encoder = make_family("whisper")
    for wrong in ("heads", [], ["head"]):
        with pytest.raises(UserError, match="kind"):
            find_units(encoder, wrong)
