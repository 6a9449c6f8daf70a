"""Which units stay: numbers worked by hand, and properties for any scores."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from s3_speechbrain.errors import UserError
from s3_speechbrain.structured.costs import Cost, Term
from s3_speechbrain.structured.selection import adjust, counts_of, select

# Two layers of a toy: a head costs 10, a neuron 3, and 5 always remain.
COST = Cost(
    [Term(5), *(Term(10, (f"heads.{i}",)) for i in (0, 1)), *(Term(3, (f"neurons.{i}",)) for i in (0, 1))],
    {"heads.0": 2, "heads.1": 2, "neurons.0": 3, "neurons.1": 3},
)
SCORES = {
    "heads.0": torch.tensor([0.9, 0.2]),
    "heads.1": torch.tensor([0.5, 0.8]),
    "neurons.0": torch.tensor([0.7, 0.1, 0.6]),
    "neurons.1": torch.tensor([0.3, 0.3, 0.0]),
}


def chosen(keep):
    return {name: mask.nonzero().flatten().tolist() for name, mask in keep.items()}


def test_best_first_and_what_does_not_fit_is_passed_over():
    # 5 + heads .9 and .8 + neurons .7 and .6 = 31; the head of .5 costs 10, so neurons take the room that is left
    found = chosen(select(SCORES, COST, 38, {}))
    assert found == {"heads.0": [0], "heads.1": [1], "neurons.0": [0, 2], "neurons.1": [0, 1]}
    found = chosen(select(SCORES, COST, 41, {}))
    assert found == {"heads.0": [0], "heads.1": [0, 1], "neurons.0": [0, 2], "neurons.1": []}


def test_equal_scores_go_by_position():
    equal = {name: torch.ones_like(values) for name, values in SCORES.items()}
    assert chosen(select(equal, COST, 5 + 20 + 3, {})) == {
        "heads.0": [0, 1],
        "heads.1": [],
        "neurons.0": [0],
        "neurons.1": [],
    }


def test_the_floor_comes_first_and_must_fit():
    floor = {"heads": 1, "neurons": 1}
    found = chosen(select(SCORES, COST, 31, floor))
    assert found == {"heads.0": [0], "heads.1": [1], "neurons.0": [0], "neurons.1": [0]}
    with pytest.raises(UserError, match="costs 31, more than the budget of 30"):
        select(SCORES, COST, 30, floor)


def test_scores_must_be_numbers():
    with pytest.raises(UserError, match="not numbers"):
        select({**SCORES, "heads.0": torch.tensor([float("nan"), 1.0])}, COST, 40, {})


def test_adjusting_by_hand():
    keep = {
        "heads.0": torch.tensor([True, True]),
        "heads.1": torch.tensor([True, False]),
        "neurons.0": torch.tensor([True, True, False]),
        "neurons.1": torch.tensor([True, False, False]),
    }  # costs 5 + 30 + 9 = 44
    gradients = {
        "heads.0": torch.tensor([9.0, 9.0]),
        "heads.1": torch.tensor([9.0, 0.5]),
        "neurons.0": torch.tensor([9.0, 9.0, 0.7]),
        "neurons.1": torch.tensor([9.0, 0.6, 0.1]),
    }
    # 0.34 of the 39 are 13.26: neuron .1 (3) and head .2 (10) go, and then neuron .3 would be too much. The 13 are
    # filled with neurons .7 and .6 of the inactive ones; the head of gradient .5 costs 10 and no longer fits, neuron
    # .1 does; 4 are left: of the dropped ones the neuron fits again.
    found = adjust(keep, SCORES, gradients, 0.34, COST, 44, {})
    assert chosen(found) == {"heads.0": [0], "heads.1": [0], "neurons.0": [0, 1, 2], "neurons.1": [0, 1, 2]}
    # With a floor of two heads, head .2 may not go.
    found = adjust(keep, SCORES, gradients, 0.34, COST, 44, {"heads": 2})
    assert chosen(found)["heads.0"] == [0, 1]
    assert all(
        torch.equal(adjust(keep, SCORES, gradients, 0.0, COST, 44, {})[name], keep[name]) for name in keep
    )


@st.composite
def cases(draw):
    sizes = {f"{kind}.{i}": draw(st.integers(1, 6)) for kind in ("heads", "neurons") for i in range(3)}
    terms = [Term(draw(st.integers(0, 20)))]
    terms += [Term(draw(st.integers(1, 9)), (name,)) for name in sizes]
    names = list(sizes)
    terms += [Term(draw(st.integers(1, 4)), pair) for pair in itertools.pairwise(names)]
    cost = Cost(terms, sizes)
    seed = draw(st.integers(0, 999))
    generator = torch.Generator().manual_seed(seed)
    scores = [
        {name: torch.randint(0, 4, (n,), generator=generator).double() for name, n in sizes.items()}
        for _ in range(3)
    ]
    floor = {kind: draw(st.integers(0, 2)) for kind in ("heads", "neurons")}
    least = cost.total({name: min(n, floor[name.split(".")[0]]) for name, n in sizes.items()})
    return cost, scores, floor, draw(st.integers(least, cost.total(sizes)))


def assert_kept_well(keep, cost, budget, floor):
    counts = counts_of(keep)
    assert cost.total(counts) <= budget
    for name, count in counts.items():
        assert count >= min(cost.dense[name], floor[name.split(".")[0]])
        if count < cost.dense[name]:  # no removed unit fits into what is left
            assert cost.total({**counts, name: count + 1}) > budget


@settings(max_examples=60, deadline=None)
@given(case=cases(), drop=st.floats(0, 1))
def test_budget_and_floor_hold_for_any_scores(case, drop):
    cost, (first, weights, gradients), floor, budget = case
    keep = select(first, cost, budget, floor)
    assert_kept_well(keep, cost, budget, floor)
    moved = adjust(keep, weights, gradients, drop, cost, budget, floor)
    assert_kept_well(moved, cost, budget, floor)
    gone = {name: int((keep[name] & ~moved[name]).sum()) for name in keep}
    counts = counts_of(keep)
    left = {name: counts[name] - gone[name] for name in counts}
    assert cost.total(counts) - cost.total(left) <= drop * (cost.total(counts) - cost.least) + 1e-9
