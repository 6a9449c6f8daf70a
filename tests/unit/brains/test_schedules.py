"""The learning-rate schedule, by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3_speechbrain.brains.schedules import tri_stage


@pytest.mark.parametrize(
    ("update", "factor"),
    [
        (0, 0.01),
        (5, 0.505),  # half-way up from 0.01 to 1
        (10, 1.0),
        (49, 1.0),
        (50, 1.0),
        (75, 0.01),  # half-way down, geometrically, from 1 to 0.0001
        (100, 0.0001),
        (200, 0.0001),
    ],
)
def test_tri_stage_by_hand(update, factor):
    assert tri_stage(update, 100, final=0.0001) == pytest.approx(factor)


def test_without_warm_up_or_decay_the_rate_is_constant():
    assert [tri_stage(update, 4, warmup=0.0, hold=1.0) for update in range(4)] == [1.0] * 4


@given(st.integers(1, 500), st.floats(0, 0.5), st.floats(0, 0.5), st.floats(1e-4, 1), st.floats(1e-4, 1))
def test_tri_stage_rises_then_falls_and_stays_in_range(updates, warmup, hold, initial, final):
    values = [
        tri_stage(update, updates, warmup=warmup, hold=hold, initial=initial, final=final)
        for update in range(updates)
    ]
    top = values.index(max(values))
    assert values[:top] == sorted(values[:top])
    assert values[top:] == sorted(values[top:], reverse=True)
    assert all(min(initial, final) <= value * (1 + 1e-12) and value <= 1 for value in values)
