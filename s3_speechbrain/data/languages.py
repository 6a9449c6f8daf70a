"""The table of languages: what a clean transcript looks like in each of them.

Every language that the recipes accept has one explicit entry here. A language without an entry is refused,
since silently leaving its text raw would make error rates include punctuation and letter case.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal

from s3_speechbrain.errors import UserError

NORMALISATION = 1  # to be raised with every change of text.normalise that changes what it returns

LATIN = "abcdefghijklmnopqrstuvwxyz"
RUSSIAN = "абвгдежзийклмнопрстуфхцчшщъыьэюя"
SORANI = "ئابپتجچحخدرڕزژسشعغفڤقکگلڵمنوۆهەیێء"


@dataclass(frozen=True)
class Rules:
    """How transcripts of one language are cleaned.

    Attributes
    ----------
    letters : str or None
        Every letter a clean transcript may hold, lower case, without space and apostrophe. Foreign accents
        are folded onto these letters ("café" becomes "cafe" in English); a letter that cannot be folded is
        left in the text and reported as unknown. None accepts every letter (for scripts with thousands of
        them).
    numbers : str or None
        Code of the language in num2words, None when num2words does not know the language.
    apostrophe : {"keep", "join", "space"}
        What happens to an apostrophe between two letters: it stays, it vanishes, or it parts two words.
    casing : {"lower", "turkic"}
        ``turkic`` lowers I to dotless ı and İ to i.
    hyphen : {"space", "join"}
        Whether a hyphen parts two words or vanishes.
    decimal : {",", "."}
        The decimal sign; the other one, and spaces before three digits, group thousands.
    point : str
        The spoken decimal sign; empty where fractions are spoken in a way the table cannot express.
    years : bool
        Whether 1100 to 1999 are spoken as years ("nineteen eighty-four").
    dot_ordinals : bool
        Whether "3." inside a sentence is an ordinal; its ending depends on grammar, so it stays unspelled.
    ordinals : str
        Regular expression of the endings that make a number an ordinal ("st|nd|rd|th"); empty for none.
    replace : mapping
        Spellings unified after lowering the case, in order.
    symbols : mapping
        Spoken words of symbols. A symbol without words makes the row doubtful, and validation drops it.
    spaces : bool
        False for scripts without spaces between words: all of them are removed.
    """

    letters: str | None
    numbers: str | None
    apostrophe: Literal["keep", "join", "space"] = "join"
    casing: Literal["lower", "turkic"] = "lower"
    hyphen: Literal["space", "join"] = "space"
    decimal: Literal[",", "."] = ","
    point: str = ""
    years: bool = False
    dot_ordinals: bool = False
    ordinals: str = ""
    replace: Mapping[str, str] = field(default_factory=dict)
    symbols: Mapping[str, str] = field(default_factory=dict)
    spaces: bool = True


def _rules(letters: str | None, numbers: str | None = None, **rest: object) -> Rules:
    return Rules(letters, numbers, **rest)


_SORANI_SPELLING = {
    "ه\u200c": "ە",  # the vowel e is often typed as h and a zero-width non-joiner
    "ي": "ی",
    "ى": "ی",
    "ك": "ک",
    "ة": "ە",
    "ھ": "ه",
}

LANGUAGES: dict[str, Rules] = {
    # Languages of the prompts corpus.
    "en": _rules(
        LATIN,
        "en",
        apostrophe="keep",
        decimal=".",
        point="point",
        years=True,
        ordinals="st|nd|rd|th",
        symbols={"&": "and", "%": "percent"},
    ),
    "es": _rules(LATIN + "áéíóúüñ", "es", point="coma", ordinals="º", symbols={"%": "por ciento"}),
    "fr": _rules(
        LATIN + "àâæçéèêëîïôœùûüÿ",
        "fr",
        apostrophe="keep",
        point="virgule",
        ordinals="er|ère|e|ème",
        symbols={"&": "et", "%": "pour cent"},
    ),
    "it": _rules(
        LATIN + "àèéìíîòóùú",
        "it",
        apostrophe="keep",
        point="virgola",
        ordinals="º",
        symbols={"&": "e", "%": "per cento"},
    ),
    # ё is written as е in most Russian texts, so both are one letter here; й is a letter of its own.
    "ru": _rules(RUSSIAN, "ru", apostrophe="join", replace={"ё": "е"}),
    # Latin script, Europe.
    "ca": _rules(LATIN + "àçèéíïòóúü·", "ca", apostrophe="keep", point="coma", symbols={"%": "per cent"}),
    "cs": _rules(LATIN + "áčďéěíňóřšťúůýž", "cs", dot_ordinals=True, symbols={"&": "a"}),
    "cy": _rules(LATIN + "âêîôûŵŷáéíóúẃýàèìòùäëïöü", None, apostrophe="keep"),
    "da": _rules(LATIN + "æøåé", "da", dot_ordinals=True, point="komma", symbols={"&": "og", "%": "procent"}),
    "de": _rules(
        LATIN + "äöüß",
        "de",
        dot_ordinals=True,
        point="komma",
        years=True,
        symbols={"&": "und", "%": "prozent"},
    ),
    "eo": _rules(LATIN + "ĉĝĥĵŝŭ", "eo", apostrophe="keep", point="komo"),
    "et": _rules(LATIN + "äöõüšž", None),
    "eu": _rules(LATIN + "ñ", None),
    "fi": _rules(LATIN + "äöå", "fi", dot_ordinals=True, point="pilkku"),
    "fy-NL": _rules(LATIN + "âêéîôûúäëïöü", None, apostrophe="keep"),
    "gl": _rules(LATIN + "áéíóúüñï", None),
    "hu": _rules(LATIN + "áéíóöőúüű", "hu", dot_ordinals=True),
    "lt": _rules(LATIN + "ąčęėįšųūž", "lt", dot_ordinals=True),
    "lv": _rules(LATIN + "āčēģīķļņšūž", "lv", dot_ordinals=True),
    "nb-NO": _rules(
        LATIN + "æøåéòôó", "no", dot_ordinals=True, point="komma", symbols={"&": "og", "%": "prosent"}
    ),
    "nl": _rules(
        LATIN + "éèëïöü",
        "nl",
        apostrophe="keep",
        point="komma",
        ordinals="e|ste|de",
        symbols={"&": "en", "%": "procent"},
    ),
    "pl": _rules(
        LATIN + "ąćęłńóśźż", "pl", dot_ordinals=True, point="przecinek", symbols={"&": "i", "%": "procent"}
    ),
    # Most Portuguese of Common Voice is Brazilian, whose number words differ in part.
    "pt": _rules(LATIN + "áâãàçéêíóôõú", "pt_BR", point="vírgula", symbols={"&": "e", "%": "por cento"}),
    "ro": _rules(LATIN + "ăâîșț", "ro", point="virgulă", replace={"ş": "ș", "ţ": "ț"}),
    "sk": _rules(LATIN + "áäčďéíĺľňóôŕšťúýž", "sk", dot_ordinals=True, symbols={"&": "a"}),
    "sl": _rules(LATIN + "čšž", "sl", dot_ordinals=True),
    "sv-SE": _rules(LATIN + "åäöé", "sv", point="komma", symbols={"&": "och", "%": "procent"}),
    # Turkic languages. The suffix after a Turkish apostrophe is spoken as one word with its stem.
    "az": _rules(LATIN.replace("w", "") + "çəğıöşü", "az", casing="turkic"),
    "kk": _rules(RUSSIAN + "ёәғқңөұүһі", "kz"),
    "ky": _rules(RUSSIAN + "ёңөү", None),
    "tr": _rules(LATIN + "çğıöşü", "tr", casing="turkic", symbols={"&": "ve"}),
    "tt": _rules(RUSSIAN + "ёәөүҗңһ", None),
    # Other scripts.
    "be": _rules("абвгдеёжзійклмнопрстуўфхцчшыьэюя", "be", apostrophe="keep"),
    "bg": _rules("абвгдежзийклмнопрстуфхцчшщъьюя", None),
    "ckb": _rules(SORANI + LATIN, None, replace=_SORANI_SPELLING),
    "el": _rules("αάβγδεέζηήθιίϊΐκλμνξοόπρσςτυύϋΰφχψωώ", None),
    "ka": _rules("აბგდევზთიკლმნოპჟრსტუფქღყშჩცძწჭხჯჰ", None),
    "mn": _rules(RUSSIAN + "ёөү", None),
    "uk": _rules("абвгґдеєжзиіїйклмнопрстуфхцчшщьюя", "uk", apostrophe="keep"),
    "zh-CN": _rules(None, None, decimal=".", spaces=False),
    "zh-HK": _rules(None, None, decimal=".", spaces=False),
    "zh-TW": _rules(None, None, decimal=".", spaces=False),
}


def rules_for(language: str) -> Rules:
    """Return the entry of a language.

    Parameters
    ----------
    language : str
        A Common Voice locale such as ``"en"`` or ``"sv-SE"``. A region that has no entry of its own falls
        back to the language without region (``"en-GB"`` to ``"en"``), or to its only regional entry (``"sv"``
        to ``"sv-SE"``).

    Returns
    -------
    Rules
        The rules of that language.

    Raises
    ------
    UserError
        When the table has no entry, with a hint of how to add one.
    """
    base = language.split("-")[0]
    regional = [name for name in LANGUAGES if name.startswith(base + "-")]
    if language in LANGUAGES:
        return LANGUAGES[language]
    if base in LANGUAGES:
        return LANGUAGES[base]
    if language == base and len(regional) == 1:
        return LANGUAGES[regional[0]]
    raise UserError(
        f"no text rules for language {language!r}: add an entry to LANGUAGES in "
        f"s3_speechbrain/data/languages.py or "
        f"call register_language({language!r}, Rules(letters=..., numbers=...)); "
        f"known: {' '.join(sorted(LANGUAGES))}"
    )


def normaliser_id(language: str) -> str:
    """Name the text normalisation of a language, so that a stored model can say what its labels went through.

    Parameters
    ----------
    language : str
        As for `rules_for`.

    Returns
    -------
    str
        The language, the version of `text.normalise` and a hash of the language's rules:
        ``"fr/1-0123abcd"``. Equal names mean equal normalised text.

    Raises
    ------
    UserError
        When the table has no entry.
    """
    rules = json.dumps(asdict(rules_for(language)), sort_keys=True)
    return f"{language}/{NORMALISATION}-{hashlib.sha256(rules.encode()).hexdigest()[:8]}"


def register_language(language: str, rules: Rules) -> None:
    """Add or replace the entry of a language for this process.

    Parameters
    ----------
    language : str
        The locale as Common Voice writes it.
    rules : Rules
        Its rules.

    Raises
    ------
    UserError
        When the rules could let a "$" through, which SpeechBrain reads as the start of a placeholder.
    """
    if "$" in (rules.letters or "") + "".join([*rules.replace.values(), *rules.symbols.values()]):
        raise UserError(
            f"the rules for {language!r} must not produce '$': SpeechBrain reads it as a placeholder"
        )
    LANGUAGES[language] = rules
