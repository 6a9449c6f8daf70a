"""Decoding and error rates, against hand counts, jiwer and SpeechBrain."""

import jiwer
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from speechbrain.decoders import ctc_greedy_decode
from speechbrain.utils.metric_stats import ErrorRateStats

from s3_speechbrain.brains.errors import ErrorCounter, by_utterance, edit_distance, greedy_decode

sentences = st.lists(
    st.tuples(st.text("ab c", min_size=1).filter(str.strip), st.text("ab c")), min_size=1, max_size=4
)


@pytest.mark.parametrize(
    ("reference", "hypothesis", "edits"),
    [
        ("", "", 0),
        ("abc", "abc", 0),
        ("abc", "", 3),
        ("", "ab", 2),
        ("kitten", "sitting", 3),
        ("ab", "ba", 2),
    ],
)
def test_edit_distance_by_hand(reference, hypothesis, edits):
    assert edit_distance(reference, hypothesis) == edits


def test_errors_by_utterance_by_hand():
    rows = [("b", "ab cd", "ab"), ("a", "kitten", "sitting"), ("c", "x", "x")]
    found = by_utterance(rows)
    assert (found["edits"], found["lengths"]) == ("3 3 0", "6 5 1")
    assert found["clips"] == by_utterance(reversed(rows))["clips"] != by_utterance(rows[1:])["clips"]
    phones = by_utterance([("a", "p a p", "p a"), ("b", "t", "d t")], error="PER")
    assert (phones["edits"], phones["lengths"]) == ("1 1", "3 1")


@given(sentences)
def test_errors_by_utterance_add_up_to_the_error_rate(pairs):
    counter = ErrorCounter()
    for ref, hyp in pairs:
        counter.add(ref, hyp)
    found = by_utterance((str(place), *pair) for place, pair in enumerate(pairs))
    assert sum(map(int, found["edits"].split())) == counter.character_edits
    assert sum(map(int, found["lengths"].split())) == counter.characters


@given(sentences)
def test_error_rates_equal_those_of_jiwer_and_speechbrain(pairs):
    pairs = [(" ".join(ref.split()), " ".join(hyp.split())) for ref, hyp in pairs]
    counter = ErrorCounter()
    for ref, hyp in pairs:
        counter.add(ref, hyp)
    refs, hyps = [ref for ref, _ in pairs], [hyp for _, hyp in pairs]
    rates = counter.rates()
    assert rates["CER"] == pytest.approx(100 * jiwer.cer(refs, hyps))
    assert rates["WER"] == pytest.approx(100 * jiwer.wer(refs, hyps))
    stats = ErrorRateStats()
    stats.append(range(len(refs)), [hyp.split() for hyp in hyps], [ref.split() for ref in refs])
    assert rates["WER"] == pytest.approx(stats.summarize("error_rate"))


def test_greedy_decoding_by_hand():
    best = torch.tensor([[1, 1, 0, 1, 2, 2, 0, 0], [0, 2, 2, 2, 1, 1, 1, 1]])
    scores = torch.nn.functional.one_hot(best, 3).float()
    assert greedy_decode(scores, torch.tensor([8, 4])) == [[1, 1, 2], [2]]


@given(st.integers(0, 1000))
def test_greedy_decoding_equals_speechbrains(seed):
    scores = torch.randn(3, 9, 4, generator=torch.Generator().manual_seed(seed)).softmax(-1)
    frames = torch.tensor([9, 5, 1])
    assert greedy_decode(scores, frames) == ctc_greedy_decode(scores, frames / 9, blank_id=0)


def test_an_empty_set_has_no_errors():
    assert ErrorCounter().rates() == {"CER": 0.0, "WER": 0.0}


def test_phones_of_several_signs_are_one_error_each():
    counter = ErrorCounter(error="PER")
    counter.add("tʃ a o", "ts a o")
    counter.add("m a", "m a")
    assert counter.rates() == {"PER": 100 * 1 / 5}
