"""The rules that make verdicts, which no evidence may bend."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3_speechbrain.report.claims.model import (
    FAILS,
    HOLDS,
    MISSING,
    UNDECIDED,
    Comparison,
    Contender,
    Fact,
    combined,
    share_of,
    verdict_of,
)
from s3_speechbrain.report.paired import Difference


def difference(low, high):
    return Difference((low + high) / 2, (low, high), 0.01, ("fr", "it"), (6, 6), 100, ())


def means(*changes):
    return Difference(changes[0], None, 1.0, ("fr",), (len(changes), len(changes)), 0, changes)


@pytest.mark.parametrize(
    ("low", "high", "margin", "verdict"),
    [
        (-5, -1, 0, HOLDS),
        (1, 5, 0, FAILS),
        (-5, 1, 0, UNDECIDED),
        (-1, 2.9, 3, HOLDS),
        (3.1, 9, 3, FAILS),
        (1, 4, 3, UNDECIDED),
        (-5, 0, 0, UNDECIDED),
    ],
)
def test_the_whole_interval_has_to_be_on_one_side_of_the_margin(low, high, margin, verdict):
    assert verdict_of(difference(low, high), margin) == verdict


def test_means_decide_only_if_six_pairs_agree():
    assert verdict_of(means(*[-10.0] * 5)) == UNDECIDED
    assert verdict_of(means(*[-10.0] * 6)) == HOLDS
    assert verdict_of(means(*[10.0] * 6)) == FAILS
    assert verdict_of(means(*[-10.0] * 12, 1.0)) == UNDECIDED  # one of thirteen does not agree
    assert verdict_of(means(*[2.0] * 6), margin=3) == HOLDS
    assert verdict_of(means(*[2.0] * 6), margin=1) == FAILS


@given(st.floats(-50, 50), st.floats(0, 50), st.floats(0, 10), st.floats(0, 10))
def test_a_larger_margin_never_turns_holds_into_anything_else(low, width, margin, more):
    found = difference(low, low + width)
    if verdict_of(found, margin) == HOLDS:
        assert verdict_of(found, margin + more) == HOLDS
    if verdict_of(found, margin + more) == FAILS:
        assert verdict_of(found, margin) == FAILS


def parts(*verdicts):
    return [Fact("part", "", verdict) for verdict in verdicts]


@pytest.mark.parametrize(
    ("verdicts", "verdict"),
    [
        ((), MISSING),
        ((MISSING, MISSING), MISSING),
        ((HOLDS, HOLDS), HOLDS),
        ((HOLDS, MISSING), UNDECIDED),
        ((HOLDS, UNDECIDED), UNDECIDED),
        ((HOLDS, UNDECIDED, MISSING, FAILS), FAILS),
    ],
)
def test_a_claim_holds_if_all_its_main_parts_hold(verdicts, verdict):
    beside = Fact("beside", "", FAILS, main=False)
    assert combined([*parts(*verdicts), beside]) == verdict


def test_parts_are_counted():
    assert share_of(parts(HOLDS, FAILS, HOLDS)) == "2 hold, 1 do not hold"


def test_sides_without_a_common_language_are_not_measured():
    empty = Comparison(Contender("a", {}), Contender("b", {}))
    assert (empty.verdict, empty.title, empty.rule) == (MISSING, "a against b", "better")
