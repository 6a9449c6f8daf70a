"""Shares of languages, their turns, and the stream of one language per update."""

import itertools
import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from s3_speechbrain.brains.batches import Clips
from s3_speechbrain.brains.languages import LanguageClips, LanguageStream, take_turns, temperature_shares
from s3_speechbrain.brains.sampling import BatchStream
from s3_speechbrain.errors import UserError

amounts = st.lists(st.floats(0.01, 1e5), min_size=1, max_size=8)
shares = amounts.map(lambda minutes: temperature_shares(minutes, 2.0))


@pytest.mark.parametrize(
    ("minutes", "temperature", "expected"),
    [
        ([90, 10], 1, [0.9, 0.1]),
        ([90, 10], 2, [0.75, 0.25]),  # roots 9.487 and 3.162
        ([32, 1], 5, [2 / 3, 1 / 3]),
        ([16, 1, 1], 4, [0.5, 0.25, 0.25]),
        ([90, 10], None, [0.5, 0.5]),
        ([7], 3, [1.0]),
        ([1e5, 1], 0.01, [1.0, 0.0]),
    ],
)
def test_shares_by_hand(minutes, temperature, expected):
    assert temperature_shares(minutes, temperature) == pytest.approx(expected)


@given(amounts, st.floats(0.1, 100), st.floats(1, 10))
def test_shares_sum_to_one_keep_the_order_and_even_out_with_temperature(minutes, temperature, warmer):
    found = temperature_shares(minutes, temperature)
    assert math.isclose(sum(found), 1)
    order = sorted(range(len(minutes)), key=minutes.__getitem__)
    assert all(found[a] <= found[b] * (1 + 1e-9) for a, b in itertools.pairwise(order))
    assert max(temperature_shares(minutes, temperature * warmer)) <= max(found) * (1 + 1e-9)


@pytest.mark.parametrize("temperature", [0, -1, math.nan])
def test_a_temperature_that_means_nothing_is_refused(temperature):
    with pytest.raises(UserError, match="temperature is"):
        temperature_shares([1, 2], temperature)


def test_equal_shares_give_everyone_a_turn_in_every_round_in_changing_order():
    turns = take_turns([0.2] * 5, 400, seed=1)
    rounds = [tuple(turns[start : start + 5]) for start in range(0, 400, 5)]
    assert all(sorted(one) == [0, 1, 2, 3, 4] for one in rounds)
    assert len(set(rounds)) > 40
    assert take_turns([0.2] * 5, 400, seed=2) != turns


@given(shares, st.integers(0, 300), st.integers(0, 9))
def test_after_any_number_of_turns_each_language_is_close_to_its_share(shares, count, seed):
    turns = take_turns(shares, count, seed)
    assert len(turns) == count
    for index, share in enumerate(shares):
        assert abs(turns.count(index) - share * count) <= 1 + share * len(shares) + 1e-6


@given(shares, st.integers(0, 100), st.integers(0, 100))
def test_fewer_turns_are_the_beginning_of_more(shares, count, more):
    assert take_turns(shares, count + more, 3)[:count] == take_turns(shares, count, 3)


SECONDS = {"fr": [1.0, 2.0, 3.0, 1.5, 2.5], "it": [2.0, 1.0, 1.0]}
TURNS = ["fr", "it", "it", "fr", "fr", "it", "fr"]


def stream(rank=0, world=1, factor=1):
    streams = {name: BatchStream(seconds, 4.0, 1, rank, world) for name, seconds in SECONDS.items()}
    return LanguageStream(streams, {"fr": 0, "it": 5}, TURNS, factor)


def read(stream, first, count):
    stream.window(first, count)
    assert len(stream) == count
    return list(stream)


def test_each_language_sees_the_batches_that_it_sees_alone():
    batches = read(stream(), 0, 7)
    for name, offset in (("fr", 0), ("it", 5)):
        found = [batch for batch, turn in zip(batches, TURNS, strict=True) if turn == name]
        alone = BatchStream(SECONDS[name], 4.0, seed=1)
        alone.window(0, len(found))
        assert [[index - offset for index in batch] for batch in found] == list(alone)


def test_a_window_can_begin_anywhere():
    assert read(stream(), 3, 4) == read(stream(), 0, 7)[3:]


def test_processes_and_accumulation_share_an_update_of_one_language():
    accumulated = read(stream(factor=2), 0, 14)
    first, second = read(stream(0, 2), 0, 7), read(stream(1, 2), 0, 7)
    assert [batch for pair in zip(first, second, strict=True) for batch in pair] == accumulated
    for batch, turn in zip(accumulated, [turn for turn in TURNS for _ in range(2)], strict=True):
        assert all((index >= 5) == (turn == "it") for index in batch)


def clips(name, seconds):
    ids = [f"{name}{index}" for index in range(len(seconds))]
    one = Clips(
        SimpleNamespace(data_ids=ids, data={id: {"duration": s} for id, s in zip(ids, seconds, strict=True)})
    )
    one.dataset = [{"id": id, "text": id, "tokens": [1], "signal": torch.zeros(160)} for id in ids]
    return one


def test_a_batch_carries_its_language_unless_mixed():
    both = LanguageClips({name: clips(name, seconds) for name, seconds in SECONDS.items()})
    assert len(both) == 8
    assert both.durations == [*SECONDS["fr"], *SECONDS["it"]]
    batch = both.collate([both[5], both[7]])
    assert (batch.language, batch.ids) == ("it", ["it0", "it2"])
    assert both.collate([both[0], both[5]]).language is None


def test_evaluation_batches_hold_every_clip_once_and_one_language_each():
    both = LanguageClips({name: clips(name, seconds) for name, seconds in SECONDS.items()})
    batches = both.by_duration(4.0)
    assert sorted(index for batch in batches for index in batch) == list(range(8))
    assert all(len({both.places[index][0] for index in batch}) == 1 for batch in batches)
