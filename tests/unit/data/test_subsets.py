import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3_speechbrain.data.subsets import draw_minutes, seeded_order
from s3_speechbrain.errors import UserError

durations = st.lists(st.floats(0.1, 30), min_size=1, max_size=60)


@settings(deadline=None)  # the machine may be busy
@given(durations, st.floats(0.05, 5), st.floats(0.05, 5), st.integers(0, 5))
def test_subsets_of_one_seed_are_nested_and_within_budget(lengths, a, b, seed):
    ids = [f"clip-{i}" for i in range(len(lengths))]
    small, large = (draw_minutes(ids, lengths, minutes, seed) for minutes in sorted((a, b)))
    assert set(small) <= set(large)
    assert sum(lengths[i] for i in large) <= max(a, b) * 60
    assert small == sorted(small)


def test_a_budget_is_filled_up_to_the_next_clip():
    # 20 clips of 10 s: 1 minute holds exactly 6 of them.
    assert len(draw_minutes([str(i) for i in range(20)], [10.0] * 20, 1.0, seed=1)) == 6


def test_more_minutes_than_there_are_take_everything():
    assert draw_minutes(["a", "b"], [1.0, 1.0], 99, seed=1) == [0, 1]


def test_the_draw_depends_on_the_seed_alone():
    ids = [f"clip-{i}" for i in range(50)]
    assert seeded_order(ids, 1) == seeded_order(ids, 1)
    assert seeded_order(ids, 1) != seeded_order(ids, 2)


def test_other_clips_do_not_change_the_order_of_two():
    names = [f"clip-{i}" for i in range(20)]
    everything = [names[i] for i in seeded_order(names, 3)]
    half = [names[i] for i in range(0, 20, 2)]
    assert [half[i] for i in seeded_order(half, 3)] == [name for name in everything if name in half]


def test_no_minutes_is_an_error():
    with pytest.raises(UserError, match="above 0"):
        draw_minutes(["a"], [1.0], 0, seed=1)
