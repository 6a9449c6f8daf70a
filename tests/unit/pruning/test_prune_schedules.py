"""The numbers of the schedules, worked by hand."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3_speechbrain.errors import UserError
from s3_speechbrain.pruning import ParpSchedule, imp_share, imp_sparsities


def test_imp_removes_a_tenth_then_a_ninth_of_the_rest_and_so_on():
    assert [imp_share(k) for k in (1, 2, 9)] == [Fraction(1, 10), Fraction(1, 9), Fraction(1, 2)]
    assert imp_sparsities(0.9) == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    assert imp_sparsities(0.1) == [0.1]


@pytest.mark.parametrize("target", [0.0, 0.25, 0.95])
def test_imp_refuses_what_is_no_multiple_of_a_tenth(target):
    with pytest.raises(UserError, match=r"steps of 0\.1"):
        imp_sparsities(target)


def test_parp_reprunes_every_interval_and_at_the_end():
    schedule = ParpSchedule(0.5, interval=30, updates=100)
    assert [update for update in range(101) if schedule.due(update)] == [30, 60, 90, 100]
    assert {schedule.sparsity_after(update) for update in range(101)} == {0.5}
    assert not schedule.at_target(31)


def test_parp_p_grows_linearly_and_never_overshoots():
    schedule = ParpSchedule(0.9, interval=10, updates=40, start=0.7)
    assert [schedule.sparsity_after(update) for update in (0, 10, 20, 30, 40)] == [0.7, 0.75, 0.8, 0.85, 0.9]
    assert [update for update in range(41) if schedule.at_target(update)] == [40]


def test_parp_p_may_reach_its_target_early():
    schedule = ParpSchedule(0.6, interval=10, updates=80, start=0.4, growth=0.5)
    assert [schedule.sparsity_after(10 * k) for k in range(9)] == [0.4, 0.45, 0.5, 0.55, *[0.6] * 5]


@given(
    st.integers(0, 99),
    st.integers(0, 99),
    st.integers(1, 60),
    st.integers(1, 300),
    st.floats(0.01, 1.0),
)
def test_growth_is_monotonic_bounded_and_complete_at_the_end(first, second, interval, updates, growth):
    start, target = sorted((first / 100, second / 100))
    schedule = ParpSchedule(target, interval, updates, start, growth)
    values = [schedule.sparsity_after(update) for update in range(updates + 1)]
    assert values == sorted(values)
    assert start <= values[0] <= target
    assert values[-1] == target
    assert schedule.at_target(updates)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sparsity": 1.0}, "sparsity 1.0"),
        ({"interval": 0}, "interval is 0"),
        ({"start": 0.6}, "above sparsity"),
        ({"start": -0.1}, "sparsity -0.1"),
        ({"growth": 0.0}, "growth is 0.0"),
    ],
)
def test_numbers_out_of_range_are_told(settings, message):
    with pytest.raises(UserError, match=message):
        ParpSchedule(**{"sparsity": 0.5, "interval": 10, "updates": 100, **settings})
