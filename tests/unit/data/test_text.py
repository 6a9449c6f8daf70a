import dataclasses
import hashlib
import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3_speechbrain.data.languages import (
    LANGUAGES,
    NORMALISATION,
    Rules,
    normaliser_id,
    register_language,
    rules_for,
)
from s3_speechbrain.data.text import NumberError, normalise, unknown_characters, unread_symbols
from s3_speechbrain.errors import UserError


@pytest.mark.parametrize(
    ("language", "raw", "clean"),
    [
        (
            "en",
            "It’s the 3rd café — 'quoted', in 1984!",
            "it's the third cafe quoted in nineteen eighty four",
        ),
        ("en", "1,234.56 & 50%", "one thousand two hundred and thirty four point five six and fifty percent"),
        ("en", "agent 007", "agent zero zero seven"),
        ("es", "¿Qué tal, señor? 21", "qué tal señor veintiuno"),
        ("fr", "L’été, 1er à 3,5 %", "l'été premier à trois virgule cinq pour cent"),
        ("it", "C'è un po' di 21", "c'è un po di ventuno"),
        ("ru", "Ёлка где-то 21", "елка где то двадцать один"),
        ("de", "Straße & 1.000 Äpfel", "straße und eintausend äpfel"),
        ("pl", "„Ród smoka” 2", "ród smoka dwa"),
        ("ckb", "هە ه\u200c ك ي", "هە ە ک ی"),
        ("ckb", "LEMAAN GHAARDAAN", "lemaan ghaardaan"),
        ("nl", "Zo'n auto's, 2e", "zo'n auto's tweede"),
        ("zh-TW", "你好，世界！ 再見", "你好世界再見"),
        ("tt", "Сәлам, дөнья!", "сәлам дөнья"),
        ("ky", "Өмүр — бул.", "өмүр бул"),
        ("tr", "ISPARTA'da İstanbul", "ısparta" + "da istanbul"),
        ("sv-SE", "Åka skridskor på is.", "åka skridskor på is"),
        ("pt", "Não há 16", "não há dezesseis"),
        ("cs", "Příliš žluťoučký", "příliš žluťoučký"),
        ("et", "Jäääär, õun.", "jäääär õun"),
        ("uk", "П’ять — це 5", "п'ять це п'ять"),
        ("ca", "Col·legi, l’home", "col·legi l'home"),
        ("mn", "Өвөл, үнэ?", "өвөл үнэ"),
        ("fy-NL", "Hja, ’t is kâld.", "hja t is kâld"),
    ],
)
def test_each_language_has_its_own_spelling(language, raw, clean):
    assert normalise(raw, language) == clean
    assert unknown_characters(clean, language) == ""


def test_text_is_composed_whatever_the_typist_used():
    assert normalise("e\u0301", "es") == "é" == normalise("é", "es")


def test_invisible_signs_vanish_and_no_break_spaces_part_words():
    assert normalise("so\u00adft\u200b a\u00a0b", "en") == "soft a b"


def test_spaces_group_thousands_where_the_comma_is_decimal():
    assert normalise("10 000 км", "ru") == "десять тысяч км"


def test_numbers_next_to_letters_become_words_of_their_own():
    assert normalise("mp3", "en") == "mp three"


def test_digits_stay_when_numbers_are_not_spelled():
    assert normalise("Platz 9", "de", spell_numbers=False) == "platz 9"
    assert unknown_characters("platz 9", "de") == "9"
    assert unknown_characters("platz 9", "de", digits=True) == ""


@pytest.mark.parametrize(
    ("language", "raw"), [("tt", "5 сан"), ("ru", "3,5 метра"), ("de", "Der 2. Versuch")]
)
def test_numbers_that_cannot_be_spelled_are_told_and_not_guessed(language, raw):
    with pytest.raises(NumberError, match="as words"):
        normalise(raw, language)


def test_an_unknown_language_is_refused_with_a_hint():
    with pytest.raises(UserError, match=r"'xx'.*LANGUAGES.*register_language"):
        normalise("text", "xx")


def test_regions_fall_back_to_their_language():
    assert rules_for("en-GB") is LANGUAGES["en"]
    assert rules_for("sv") is LANGUAGES["sv-SE"]
    with pytest.raises(UserError):
        rules_for("zh")  # three regions with scripts of their own: no guess


def test_a_registered_language_is_used(monkeypatch):
    monkeypatch.setattr("s3_speechbrain.data.languages.LANGUAGES", dict(LANGUAGES))
    register_language("tlh", Rules(letters="abc", numbers=None, apostrophe="keep"))
    assert normalise("A’b, C?", "tlh") == "a'b c"
    with pytest.raises(UserError, match="placeholder"):
        register_language("tlh", Rules(letters="abc", numbers=None, symbols={"€": "$"}))


def test_foreign_letters_fold_or_are_reported():
    assert normalise("Œuvre Łódź Straße", "en") == "oeuvre lodz strasse"
    text = normalise("hello мир", "en")
    assert unknown_characters(text, "en") == "имр"


def test_symbols_without_words_are_found():
    assert unread_symbols("$5 + 3°, 50%", "en") == "$+°"
    assert unread_symbols("„Ja“ – (nein) … a/b", "de") == ""


def test_the_alphabets_are_lower_case_composed_and_without_repeats():
    for language, rules in LANGUAGES.items():
        for letter in rules.letters or "":
            assert letter == unicodedata.normalize("NFC", letter) == letter.lower(), language
        assert len(set(rules.letters or "")) == len(rules.letters or ""), language


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40), st.sampled_from(sorted(LANGUAGES)))
def test_normalising_is_idempotent_and_never_yields_a_placeholder(raw, language):
    try:
        once = normalise(raw, language)
    except NumberError:
        once = normalise(raw, language, spell_numbers=False)
        assert "$" not in once
        return
    assert "$" not in once
    assert once == once.strip()
    assert "  " not in once
    assert normalise(once, language) == once


def test_the_normaliser_is_named_by_language_version_and_rules(monkeypatch):
    assert re.fullmatch(rf"sv/{NORMALISATION}-[0-9a-f]{{8}}", normaliser_id("sv"))
    assert normaliser_id("sv").split("/")[1] == normaliser_id("sv-SE").split("/")[1]
    before = normaliser_id("fr")
    monkeypatch.setitem(LANGUAGES, "fr", dataclasses.replace(LANGUAGES["fr"], hyphen="join"))
    assert normaliser_id("fr") != before
    with pytest.raises(UserError, match="no text rules"):
        normaliser_id("xx")


def test_the_version_of_the_normaliser_stands_for_what_it_returns():
    raw = "\u201cL'été, 3,5 %\u201d - 1 200e ÉTAGE? Café-au-lait n° 21 & co. I İ ß ё 1984 3. x"
    found = "\n".join(normalise(raw, language, spell_numbers=False) for language in sorted(LANGUAGES))
    # If this fails, normalise returns something else than before: raise NORMALISATION, then renew the hash.
    assert (NORMALISATION, hashlib.sha256(found.encode()).hexdigest()[:16]) == (1, "12e6d5a00cab6185")
