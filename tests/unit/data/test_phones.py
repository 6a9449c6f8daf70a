"""Transcripts as phones: what the engine is asked, what is kept, what is left out."""

import json
import sys

import pytest

from s3_speechbrain.data import phones
from s3_speechbrain.data.phones import Phonemiser, phones_of, pronounce
from s3_speechbrain.errors import UserError

pytest.importorskip("phonemizer")
pytest.importorskip("espeakng_loader")

# the ten Common Voice languages of PARP and S3-Router, and the languages of the prompts
LANGUAGES = {
    "en": "good morning",
    "es": "buenos días",
    "fr": "bonjour tout le monde",
    "it": "buongiorno a tutti",
    "ky": "кутман таң",
    "nl": "goedemorgen allemaal",
    "ru": "доброе утро",
    "sv-SE": "god morgon",
    "tr": "günaydın dünya",
    "tt": "хәерле иртә",
    "zh-TW": "早安",
}


@pytest.mark.parametrize(("language", "text"), LANGUAGES.items())
def test_every_language_of_the_papers_has_a_voice(language, text):
    (found,) = Phonemiser(language).phones([text])
    assert 3 <= len(found.split()) <= len(text.encode())
    assert found == " ".join(found.split())
    assert "|" not in found


def test_words_worked_by_hand():
    assert Phonemiser("es").phones(["casa", "perro"]) == ["k a s a", "p e r o"]
    assert Phonemiser("ru").phones(["мир"]) == ["mʲ i r"]


def test_a_sentence_is_pronounced_as_a_whole():
    joined, alone = Phonemiser("fr").phones(["les enfants", "les"])
    assert joined.split()[:3] == [*alone.split(), "z"]  # the liaison


def test_tones_and_stress_are_left_out():
    (found,) = Phonemiser("zh-TW").phones(["你好世界"])
    assert not any(character.isdigit() or character == "ɜ" for character in found)
    assert "ˈ" not in Phonemiser("en").phones(["accident"])[0]


def test_words_in_another_script_are_located_and_not_spelled():
    engine = Phonemiser("en")
    assert engine.phones(["hello привет", "hello"])[0] is None
    assert engine.silent_words("hello привет you") == ["привет"]
    assert engine.phones([""]) == [""]


def test_phones_are_kept_and_the_engine_is_then_not_needed(tmp_path, monkeypatch):
    cache = tmp_path / "phones-es.json"
    first = phones_of(["casa", "perro"], "es", cache)
    assert first == {"casa": "k a s a", "perro": "p e r o"}
    monkeypatch.setattr(phones, "Phonemiser", None)
    assert phones_of(["perro"], "es", cache) == {"perro": "p e r o"}


def test_only_new_texts_are_pronounced(tmp_path, monkeypatch):
    cache = tmp_path / "phones-es.json"
    phones_of(["casa"], "es", cache)
    asked = []
    kept = Phonemiser.phones
    monkeypatch.setattr(Phonemiser, "phones", lambda self, texts: asked.extend(texts) or kept(self, texts))
    assert set(phones_of(["casa", "perro"], "es", cache)) == {"casa", "perro"}
    assert asked == ["perro"]


def test_phones_of_two_engines_are_never_mixed(tmp_path):
    cache = tmp_path / "phones-es.json"
    phones_of(["casa"], "es", cache)
    stored = json.loads(cache.read_text())
    cache.write_text(json.dumps({**stored, "engine": "another", "phones": {"casa": "X"}}))
    assert phones_of(["casa", "perro"], "es", cache)["casa"] == "k a s a"


def test_clips_that_cannot_be_pronounced_are_left_out_and_named(tmp_path, caplog):
    rows = {
        "train": {"a": {"text": "casa", "wav": "a.wav"}, "b": {"text": "casa привет", "wav": "b.wav"}},
        "test": {"c": {"text": "perro", "wav": "c.wav"}},
    }
    cache = tmp_path / "phones-es.json"
    found, sha256 = pronounce(rows, "es", cache, "0")
    assert found["train"] == {"a": {"text": "k a s a", "wav": "a.wav"}}
    assert found["test"]["c"]["text"] == "p e r o"
    assert rows["train"]["a"]["text"] == "casa"
    assert "1 of train" in caplog.text
    assert json.loads(cache.read_text())["silent"] == {"casa привет": ["привет"]}
    assert sha256 != "0"
    assert pronounce(rows, "es", cache, "0")[1] == sha256


def test_a_split_without_any_phones_is_told(tmp_path):
    rows = {"train": {"a": {"text": "casa"}}, "dev": {"b": {"text": "привет"}}, "train-100": {}}
    with pytest.raises(UserError, match="nothing of dev"):
        pronounce(rows, "es", tmp_path / "phones.json", "0")


def test_a_language_without_voice_is_told():
    with pytest.raises(UserError, match="'fy-NL': use tokenizer characters"):
        Phonemiser("fy-NL")


def test_missing_packages_are_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(UserError, match=r"pip install 's3-speechbrain\[phones\]'"):
        Phonemiser("es")


def test_a_damaged_cache_is_told(tmp_path):
    (tmp_path / "phones.json").write_text("{")
    with pytest.raises(UserError, match="delete it"):
        phones_of(["casa"], "es", tmp_path / "phones.json")
