"""Text to targets and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3_speechbrain.brains.tokens import (
    Characters,
    Phones,
    Pieces,
    frames_needed,
    tokenizer_from_record,
    tokenizer_record,
)
from s3_speechbrain.errors import UserError

TEXTS = ["the cat sat", "a mat", "that cat's hat"]


@pytest.fixture
def characters(tmp_path):
    return Characters.load_or_create(tmp_path / "characters.txt", TEXTS)


def test_characters_come_sorted_after_the_blank_and_return_from_disk(characters, tmp_path):
    assert characters.labels == ["", *sorted(set("".join(TEXTS)))]
    again = Characters.load_or_create(tmp_path / "characters.txt", ["completely different"])
    assert again.labels == characters.labels
    assert characters.decode(characters.encode("that cat's mat")) == "that cat's mat"


def test_unknown_characters_are_left_out(characters):
    assert characters.decode(characters.encode("the zoo cat")) == "the cat"
    assert 0 not in characters.encode("the zoo cat")


def test_phones_of_several_signs_have_one_label_each_and_return_from_disk(tmp_path):
    texts = ['tʃ a u" ɪ^', "a t[ s."]
    phones = Phones.load_or_create(tmp_path / "phones.txt", texts)
    assert phones.labels == ["", *sorted({"tʃ", "a", 'u"', "ɪ^", "t[", "s."})]
    assert Phones.load_or_create(tmp_path / "phones.txt", []).labels == phones.labels
    assert phones.decode(phones.encode("tʃ a ʒ s.")) == "tʃ a s."
    assert phones.error == "PER"


def test_pieces_round_trip_and_keep_index_0_for_the_blank(tmp_path):
    pieces = Pieces.load_or_create(tmp_path / "pieces.model", TEXTS, 14)
    assert pieces.labels[0] == ""
    assert len(pieces.labels) == 15
    assert min(pieces.encode("the cat sat")) > 0
    assert pieces.decode(pieces.encode("the cat sat")) == "the cat sat"
    again = Pieces.load_or_create(tmp_path / "pieces.model", ["other"], 14)
    assert again.labels == pieces.labels


@pytest.mark.parametrize("kind", ["characters", "phones", "sentencepiece"])
def test_a_record_makes_the_same_tokenizer_again(characters, tmp_path, kind):
    tokenizer = {
        "characters": lambda: characters,
        "phones": lambda: Phones.load_or_create(tmp_path / "p", TEXTS),
        "sentencepiece": lambda: Pieces.load_or_create(tmp_path / "p", TEXTS, 14),
    }[kind]()
    record = tokenizer_record(tokenizer)
    again = tokenizer_from_record(record)
    assert (type(again), again.labels, record["kind"]) == (type(tokenizer), tokenizer.labels, kind)
    assert again.encode("a cat's hat") == tokenizer.encode("a cat's hat")
    assert tokenizer_record(again) == record


def test_a_record_of_other_labels_is_refused(tmp_path):
    record = tokenizer_record(Pieces.load_or_create(tmp_path / "p", TEXTS, 14))
    with pytest.raises(UserError, match="labels are not those"):
        tokenizer_from_record({**record, "labels": record["labels"][::-1]})
    with pytest.raises(UserError, match="cannot be made"):
        tokenizer_from_record({**record, "model": b"no model"})
    with pytest.raises(UserError, match="labels are not those"):
        tokenizer_from_record({"kind": "characters", "labels": ["", "a", "a"], "model": None})


def test_too_many_pieces_is_told_in_one_line(tmp_path):
    with pytest.raises(UserError, match=r"cannot make 5000 pieces .*try another --pieces"):
        Pieces.load_or_create(tmp_path / "pieces.model", TEXTS, 5000)


@pytest.mark.parametrize(
    ("target", "frames"), [([], 0), ([1], 1), ([1, 2, 1], 3), ([1, 1], 3), ([2, 2, 2, 1], 6)]
)
def test_frames_needed_by_hand(target, frames):
    assert frames_needed(target) == frames


@given(st.lists(st.integers(1, 3), max_size=8))
def test_frames_needed_is_the_length_with_forced_blanks(target):
    path = []
    for label in target:
        path += [0, label] if path and path[-1] == label else [label]
    assert frames_needed(target) == len(path)
