"""Transcripts as phones: espeak-ng's pronunciation of a sentence, computed once and kept beside the manifests.

The engine is optional (``pip install s3-speechbrain[phones]``: phonemizer and espeakng-loader, which brings the
library itself, so nothing has to be installed on the system). Both are under the GPL 3 or later and are not part
of this project.
"""

import hashlib
import json
import logging
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from s3_speechbrain.data.manifest import write_json
from s3_speechbrain.data.text import unknown_characters
from s3_speechbrain.errors import UserError

logger = logging.getLogger(__name__)

# espeak-ng's names of voices where they are not the locale or its language
VOICES = {
    "en": "en-us",
    "fr": "fr-fr",
    "ckb": "ku",
    "zh-CN": "cmn",
    "zh-TW": "cmn",
    "zh-HK": "yue",
}
TONES = re.compile(r"[0-9ɜ]+$")  # how espeak-ng writes them behind a Sinitic vowel
BOUNDARY = " | "  # between words; phonemizer wants one that is no phone separator
TONAL = ("cmn", "yue")


class Phonemiser:
    """espeak-ng with the voice of one language.

    Stress is left out, and the tones of Chinese languages. Words that the voice takes for foreign keep the phones
    that espeak-ng gives them in the other language.

    Parameters
    ----------
    language : str
        A Common Voice locale with an entry in `s3_speechbrain.data.languages`.

    Attributes
    ----------
    engine : str
        Name, version and voice; equal engines give equal phones.

    Raises
    ------
    UserError
        If the optional packages are not installed, or espeak-ng does not know the language.
    """

    def __init__(self, language: str) -> None:
        backend, separator = _import_backend()
        self.language = language
        self.voice = _voice(language, backend.supported_languages())
        quiet = logging.getLogger(f"{__name__}.engine")
        quiet.setLevel(logging.ERROR)  # it warns of every word of another language
        self._backend = backend(self.voice, with_stress=False, language_switch="remove-flags", logger=quiet)
        self._audible: dict[str, bool] = {}
        self._separator = separator(phone=" ", word=BOUNDARY, syllable="")
        self.engine = f"espeak-ng {'.'.join(map(str, self._backend.version()))} {self.voice}"

    def phones(self, texts: Iterable[str]) -> list[str | None]:
        """Pronounce texts.

        Parameters
        ----------
        texts : iterable of str
            Normalised sentences.

        Returns
        -------
        list of str or None
            Phones with one space between them, without word boundaries; None for a text in which a word cannot be
            pronounced (see `silent_words`).
        """
        texts = list(texts)
        spoken = self._backend.phonemize(texts, separator=self._separator, strip=True)
        return [
            None if self.silent_words(text) else self._tidy(found)
            for text, found in zip(texts, spoken, strict=True)
        ]

    def silent_words(self, text: str) -> list[str]:
        """Return the words of a text that the voice cannot pronounce.

        espeak-ng *names* the letters of a foreign script ("Cyrillic letter ..."), which nobody has said: such
        words count as silent too.
        """
        words = text.split()
        new = sorted({word for word in words if word not in self._audible})
        spoken = self._backend.phonemize(new, separator=self._separator, strip=True)
        for word, found in zip(new, spoken, strict=True):
            self._audible[word] = bool(self._tidy(found)) and not unknown_characters(word, self.language)
        return [word for word in words if not self._audible[word]]

    def _tidy(self, found: str) -> str:
        phones = [phone for phone in found.split() if phone != BOUNDARY.strip()]
        if self.voice in TONAL:
            phones = [TONES.sub("", phone) for phone in phones]
        return " ".join(phone for phone in phones if phone)


def _import_backend() -> tuple[Any, Any]:
    try:
        import espeakng_loader
        from phonemizer.backend import EspeakBackend
        from phonemizer.backend.espeak.wrapper import EspeakWrapper
        from phonemizer.separator import Separator
    except ImportError as error:
        raise UserError(f"phone targets need {error.name}: pip install 's3-speechbrain[phones]'") from None
    EspeakWrapper.set_library(espeakng_loader.get_library_path())
    EspeakWrapper.set_data_path(espeakng_loader.get_data_path())
    return EspeakBackend, Separator


def _voice(language: str, known: Iterable[str]) -> str:
    known = set(known)
    for name in (VOICES.get(language), language.lower(), language.split("-")[0]):
        if name in known:
            return name
    raise UserError(f"espeak-ng has no voice for {language!r}: use tokenizer characters")


def phones_of(texts: Iterable[str], language: str, cache: Path) -> dict[str, str | None]:
    """Pronounce texts, taking from a file what it holds already.

    Parameters
    ----------
    texts : iterable of str
        Normalised sentences.
    language : str
        A Common Voice locale.
    cache : Path
        JSON file, made or completed. With all texts in it, the engine is not needed.

    Returns
    -------
    dict of str to str or None
        By text, as `Phonemiser.phones`.

    Raises
    ------
    UserError
        If the engine is needed and missing, has no such voice, or the file is damaged.
    """
    wanted = set(texts)
    stored = _read(cache)
    if not wanted <= stored["phones"].keys():
        phonemiser = Phonemiser(language)
        if stored["engine"] != phonemiser.engine:  # never mix the phones of two engines
            stored = {"engine": phonemiser.engine, "phones": {}, "silent": {}}
        missing = sorted(wanted - stored["phones"].keys())
        found = dict(zip(missing, phonemiser.phones(missing), strict=True))
        silent = {text: phonemiser.silent_words(text) for text, phones in found.items() if phones is None}
        stored = {
            "engine": stored["engine"],
            "phones": stored["phones"] | found,
            "silent": stored["silent"] | silent,
        }
        write_json(cache, stored)
    return {text: stored["phones"][text] for text in wanted}


def _read(cache: Path) -> Mapping[str, Any]:
    if not cache.is_file():
        return {"engine": "", "phones": {}, "silent": {}}
    try:
        stored = json.loads(cache.read_text(encoding="utf-8"))
        return {
            "engine": stored["engine"],
            "phones": dict(stored["phones"]),
            "silent": dict(stored["silent"]),
        }
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{cache} is damaged: delete it, it is made again") from None


Rows = Mapping[str, Mapping[str, Mapping[str, Any]]]  # split -> clip -> its fields, among them ``text``


def pronounce(rows: Rows, language: str, cache: Path, sha256: str) -> tuple[dict[str, dict[str, dict]], str]:
    """Replace the texts of a corpus by their phones.

    Parameters
    ----------
    rows : mapping
        Split to clip to its fields.
    language : str
        A Common Voice locale.
    cache : Path
        As for `phones_of`; below ``silent`` it names the words that could not be pronounced, by text.
    sha256 : str
        Of the manifests.

    Returns
    -------
    rows : dict
        The same with phones; clips with a word that cannot be pronounced are left out, and counted in a warning.
    sha256 : str
        Of manifests and phones together.

    Raises
    ------
    UserError
        As `phones_of`, or if nothing of a split can be pronounced.
    """
    phones = phones_of({row["text"] for clips in rows.values() for row in clips.values()}, language, cache)
    spoken = {
        split: {
            clip: {**row, "text": phones[row["text"]]}
            for clip, row in clips.items()
            if phones[row["text"]] is not None
        }
        for split, clips in rows.items()
    }
    lost = {split: len(clips) - len(spoken[split]) for split, clips in rows.items()}
    if any(lost.values()):
        counts = ", ".join(f"{count} of {split}" for split, count in lost.items() if count)
        logger.warning("Left out clips that cannot be pronounced (%s); %s names the words", counts, cache)
    for split, clips in rows.items():
        if clips and not spoken[split]:
            raise UserError(f"nothing of {split} can be pronounced in {language!r}: use tokenizer characters")
    found = "\n".join(f"{text}\t{phones[text]}" for text in sorted(phones))
    return spoken, hashlib.sha256(f"{sha256}\n{found}".encode()).hexdigest()
