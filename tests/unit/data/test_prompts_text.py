import gzip

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3_speechbrain.data.prompts_repairs import repair
from s3_speechbrain.data.prompts_text import (
    Dropped,
    Entry,
    clean,
    count_reasons,
    read_list,
    sentence_key,
    split_sentences,
)

BRACKETS = "note in brackets, unclear what is spoken"


def test_list_skips_comments_and_blank_lines_and_keeps_line_numbers(tmp_path):
    path = tmp_path / "core-sounds-en.txt"
    path.write_text(
        "\ufeff; comment\n\nhello: Hello there.\ndigits/1: one\nbroken line\nhello: again\n", "utf-8"
    )
    entries, dropped = read_list(path, "en")
    assert entries == [Entry(3, "hello", "Hello there."), Entry(4, "digits/1", "one")]
    assert dropped == [
        Dropped(5, "", "broken line", "not of the form 'name: text'"),
        Dropped(6, "hello", "again", "name listed twice"),
    ]


def test_gzipped_list_reads_like_a_plain_one(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"x: y\n")
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(b"x: y\n"))
    assert read_list(tmp_path / "a.txt", "en") == read_list(tmp_path / "b.txt.gz", "en")


def test_spanish_ten_is_moved_from_the_name_of_zero_to_its_own(tmp_path):
    path = tmp_path / "l.txt"
    path.write_text("digits/0: cero\ndigits/0: diez\n")
    entries, dropped = read_list(path, "es")
    assert [(e.name, e.text) for e in entries] == [("digits/0", "cero"), ("digits/10", "diez")]
    assert dropped == []


def test_byte_that_is_not_utf8_counts_as_a_lost_accent(tmp_path):
    path = tmp_path / "l.txt"
    path.write_bytes(b"x: la conferenza \xe8 piena\n")
    (entry,), _ = read_list(path, "it")
    assert clean(entry, "it")[1] == "lost accent"


@pytest.mark.parametrize(
    ("name", "text", "language", "expected", "reason"),
    [
        ("hello", "  Hello   there. ", "en", "Hello there.", None),
        ("tone", "[ascending tones]", "en", None, "tone or silence"),
        ("s", "(one second of silence)", "en", None, "tone or silence"),
        ("j", "<beep ascending>", "en", None, "tone or silence"),
        ("beep", "un suono beep", "it", None, "tone or silence"),
        ("silence/3", "tre secondi", "it", None, "tone or silence"),
        ("letters/dash", "dash [-]", "en", "dash", None),
        ("letters/space", "space [ ]", "en", "space", None),
        ("spy-iax2", 'IAX (note: does not say "2")', "en", None, BRACKETS),
        ("vm-msgsaved", "Il [suo] messaggio", "it", None, BRACKETS),
        ("a", "salvato vm-then-pound: poi premere", "it", None, "several entries on one line"),
        ("a", "suivi du dièse.vm-record-temp: Après", "fr", None, "several entries on one line"),
        ("spy-h323", "H.323", "en", None, "long number, unclear how it is read"),
        ("vm-Cust1", "folder 15", "en", "folder 15", None),
        ("full", "La conferenza ? piena.", "it", "La conferenza è piena.", None),
        ("c", "non pu? essere, cos? com'è, pi? tardi", "it", "non può essere, così com'è, più tardi", None),
        ("q", "Casella di posta?", "it", "Casella di posta?", None),
        ("q", "citt? nuova", "it", None, None),
        ("w", "citt?nuova", "it", None, "lost accent"),
        ("e", "desea guardar el mensaje ?", "es", "desea guardar el mensaje ?", None),
    ],
)
def test_entry_is_repaired_or_dropped_with_its_reason(name, text, language, expected, reason):
    found, why = clean(Entry(1, name, text), language)
    assert why == reason
    if expected is not None:
        assert found == expected


def test_words_are_repaired_whole_and_keep_their_capital():
    assert repair("Numero de la extension, numeroso", "es") == "Número de la extensión, numeroso"
    assert repair("Vous etes en ligne", "fr") == "Vous êtes en ligne"
    assert repair("numero", "it") == "numero"


def test_words_that_mean_something_without_accent_stay():
    assert repair("esta si que solo", "es") == "esta si que solo"
    assert repair("a ou des", "fr") == "a ou des"


def test_key_ignores_case_accents_spaces_and_punctuation():
    assert sentence_key("L'Heure è") == sentence_key("l heure e") == "lheuree"


def test_split_takes_train_first_and_halves_the_rest():
    # 100 sentences of 1 s: 40 s train, then 30 s each.
    splits = split_sentences([f"s{i}" for i in range(100)], [1.0] * 100, 40, seed=1)
    assert [splits.count(name) for name in ("train", "dev", "test")] == [40, 30, 30]


def test_train_takes_at_most_six_tenths():
    splits = split_sentences([f"s{i}" for i in range(10)], [1.0] * 10, 3600, seed=1)
    assert [splits.count(name) for name in ("train", "dev", "test")] == [6, 2, 2]


def test_split_is_the_same_on_every_machine():
    # Fixed once: SHA-256 of "1:a" to "1:f" orders the keys, whatever Python or platform.
    assert split_sentences(list("abcdef"), [1.0] * 6, 2, seed=1) == [
        "train",
        "test",
        "test",
        "train",
        "dev",
        "dev",
    ]


def test_another_seed_draws_another_split():
    keys = [f"s{i}" for i in range(100)]
    assert split_sentences(keys, [1.0] * 100, 50, seed=1) != split_sentences(keys, [1.0] * 100, 50, seed=2)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.floats(0.1, 20)), min_size=1, max_size=40),
    st.randoms(),
)
def test_equal_sentences_share_a_split_in_any_order(clips, random):
    keys, seconds = zip(*clips, strict=True)
    by_key = dict(zip(keys, split_sentences(keys, seconds, 30, seed=3), strict=True))
    shuffled = list(clips)
    random.shuffle(shuffled)
    other_keys, other_seconds = zip(*shuffled, strict=True)
    other = split_sentences(other_keys, other_seconds, 30, seed=3)
    assert all(by_key[key] == split for key, split in zip(other_keys, other, strict=True))


def test_reasons_are_counted_most_frequent_first():
    rows = [Dropped(1, "a", "", "x"), Dropped(2, "b", "", "y"), Dropped(3, "c", "", "y")]
    assert list(count_reasons(rows).items()) == [("y", 2), ("x", 1)]
