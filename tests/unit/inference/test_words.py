"""Words, times and confidence of a CTC path, worked by hand."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from s3_speechbrain.brains.errors import greedy_decode
from s3_speechbrain.brains.tokens import Characters, Phones, Pieces
from s3_speechbrain.inference.paths import BestPath
from s3_speechbrain.inference.words import transcript

LABELS = ["", " ", "a", "b", "c"]
FRAME = 0.02


def path(labels, probs=None, places=None):
    probs = [0.5] * len(labels) if probs is None else probs
    places = range(len(labels)) if places is None else places
    return BestPath(np.array(list(places)), np.array(labels), np.log(np.array(probs, np.float32)))


def read(one, tokenizer=None, duration=10.0):
    return transcript(one, tokenizer or Characters.from_labels(LABELS), "en", duration, FRAME)


def test_times_and_confidence_by_hand():
    #         b    b    -    a    _    _    c    -    c
    labels = [3, 3, 0, 2, 1, 1, 4, 0, 4]
    probs = [0.9, 0.4, 1.0, 0.8, 0.5, 0.5, 0.7, 1.0, 0.6]
    found = read(path(labels, probs), duration=0.17)
    assert found.text == "ba cc"
    assert [word.text for word in found.words] == ["ba", "cc"]
    assert [(word.start, word.end) for word in found.words] == [
        (pytest.approx(0.0), pytest.approx(0.08)),
        (pytest.approx(0.12), pytest.approx(0.17)),  # the last frame ends after the recording does
    ]
    assert found.tokens[0].confidence == pytest.approx(math.sqrt(0.9 * 0.4))
    assert found.words[0].confidence == pytest.approx(math.sqrt(0.6 * 0.8))
    assert found.words[1].confidence == pytest.approx(math.sqrt(0.7 * 0.6))
    assert found.confidence == pytest.approx((math.sqrt(0.48) + math.sqrt(0.42)) / 2)
    assert [token.text for token in found.tokens] == ["b", "a", " ", "c", "c"]


def test_places_of_dropped_frames_count():
    found = read(path([2, 0, 3], places=[5, 7, 40]))
    assert [(token.start, token.end) for token in found.tokens] == [
        (pytest.approx(0.10), pytest.approx(0.12)),
        (pytest.approx(0.80), pytest.approx(0.82)),
    ]


def test_nothing_heard():
    for labels in ([], [0, 0], [1, 0, 1]):
        found = read(path(labels))
        assert (found.text, found.words, found.confidence) == ("", (), None)
    assert read(path([])).as_dict() == {
        "text": "",
        "language": "en",
        "duration": 10.0,
        "confidence": None,
        "words": [],
    }


def test_plain_data_is_rounded():
    made = read(path([2, 3], [0.123456, 0.5])).as_dict()
    assert made["words"] == [{"text": "ab", "start": 0.0, "end": 0.04, "confidence": 0.2485}]
    assert "words" not in read(path([2])).as_dict(words=False)


@settings(max_examples=60, deadline=None)
@given(labels=st.lists(st.integers(0, 4), max_size=40))
def test_words_are_those_of_the_text(labels):
    found = read(path(labels))
    scores = np.eye(5)[np.array(labels, int)].reshape(1, len(labels), 5)
    wanted = greedy_decode(torch.from_numpy(scores), torch.tensor([len(labels)]))[0] if labels else []
    assert found.text == Characters.from_labels(LABELS).decode(wanted)
    assert [word.text for word in found.words] == found.text.split()
    times = [time for token in found.tokens for time in (token.start, token.end)]
    assert times == sorted(times)
    assert all(word.start < word.end for word in found.words)


def test_each_phone_is_a_word():
    found = read(path([1, 0, 2, 2]), Phones.from_labels(["", "tʃ", "aː"]))
    assert found.text == "tʃ aː"
    assert [word.text for word in found.words] == ["tʃ", "aː"]


def test_pieces_begin_words_at_their_mark(tmp_path):
    texts = ["babe dodi", "dodi bobo", "babe bobo dida", "da da babe"] * 5
    tokenizer = Pieces.load_or_create(tmp_path / "pieces.model", texts, 13)
    for words in itertools.permutations(["babe", "dodi", "da", "bobo"], 3):
        text = " ".join(words)
        labels = [label for index in tokenizer.encode(text) for label in (index, 0)]
        found = read(path(labels), tokenizer)
        assert found.text == text
        assert [word.text for word in found.words] == list(words)
