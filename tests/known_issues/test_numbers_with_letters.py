"""Numbers with letters became words and fragments of words, as nineteen ninety s, and were trained on."""

import pytest

from s3_speechbrain.data.text import NumberError, normalise


@pytest.mark.parametrize(
    ("language", "text", "word"),
    [
        ("en", "the 1990s were", "1990s"),
        ("ru", "на 5-й день", "5-й"),
        ("sv-SE", "den 20:e maj", "20:e"),
        ("fr", "les 1ers pas", "1ers"),
        ("it", "l'1 maggio", "l'1"),
        ("de", "die 20er Jahre", "20er"),
    ],
)
def test_they_are_told(language, text, word):
    with pytest.raises(NumberError, match=f"{word!r} is a number with letters"):
        normalise(text, language)


@pytest.mark.parametrize(
    ("language", "text", "words"),
    [
        ("en", "a 20-year plan", "a twenty year plan"),
        ("en", "on the 1st", "on the first"),
        ("en", "mp3 and 4, 5", "mp three and four five"),
        ("fr", "son en 3d", "son en trois d"),
        ("ru", "5 дней", "пять дней"),
    ],
)
def test_what_stands_alone_is_spelled(language, text, words):
    assert normalise(text, language) == words
