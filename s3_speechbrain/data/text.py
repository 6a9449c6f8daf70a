"""Transcripts made uniform: what is spoken stays, what is only written goes."""

import re
import unicodedata
from functools import lru_cache

from num2words import num2words

from s3_speechbrain.data.languages import Rules, register_language, rules_for
from s3_speechbrain.errors import UserError

__all__ = ["NumberError", "normalise", "register_language", "unknown_characters", "unread_symbols"]

# Typists use many signs for one apostrophe and one hyphen.
_UNIFY = str.maketrans(
    dict.fromkeys("\u2018\u2019\u201b\u02bc\u02bb\u02b9\u02bf\u2032\uff07`\u00b4", "'")
    | dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\uff0d", "-")
)
# Foreign letters that Unicode does not decompose into a base letter and a mark.
_FOREIGN = {
    "ß": "ss",
    "æ": "ae",
    "œ": "oe",
    "ø": "o",
    "ł": "l",
    "đ": "d",
    "ð": "d",
    "þ": "th",
    "ı": "i",
    "ħ": "h",
}
_SPOKEN_PUNCTUATION = frozenset("%&@#§‰")
_SILENT_SYMBOLS = frozenset("|~^¨¸¯_♪♫")


class NumberError(UserError):
    """Digits that cannot be turned into words in this language."""


def normalise(text: str, language: str, spell_numbers: bool = True) -> str:
    """Return a transcript in the one spelling that training and scoring use.

    In order: Unicode NFC; one apostrophe and one hyphen sign; lower case by the language's rules; spelling
    variants unified; numbers spelled out; symbols replaced by their words; hyphens and punctuation removed;
    letters foreign to the language folded onto its own; spaces collapsed. Applying it twice changes nothing.

    Parameters
    ----------
    text : str
        A raw sentence.
    language : str
        A Common Voice locale with an entry in `s3_speechbrain.data.languages`.
    spell_numbers : bool
        Write numbers as words. When False, digits stay.

    Returns
    -------
    str
        The clean sentence, which never holds "$" (SpeechBrain reads that as a placeholder) and may be empty.

    Raises
    ------
    UserError
        When the language has no entry (the message says how to add one).
    NumberError
        When the text holds a number that num2words cannot spell in this language.

    Examples
    --------
    >>> normalise("It\u2019s the 3rd caf\u00e9!", "en")
    "it's the third cafe"
    """
    rules = rules_for(language)
    text = unicodedata.normalize("NFC", text).translate(_UNIFY)
    text = _lower(text, rules)
    for written, unified in rules.replace.items():
        text = text.replace(written, unified)
    if spell_numbers:
        text = _spell_numbers(text, language, rules)
    for symbol, words in rules.symbols.items():
        text = text.replace(symbol, f" {words} ")
    text = text.replace("-", " " if rules.hyphen == "space" else "")
    text = "".join(_keep(character, rules) for character in text)
    text = _apostrophes(text, rules)
    return unicodedata.normalize("NFC", (" " if rules.spaces else "").join(text.split()))


def unknown_characters(text: str, language: str, digits: bool = False) -> str:
    """Return the characters of a clean text that the language's alphabet lacks, each once, sorted.

    Parameters
    ----------
    text : str
        A result of `normalise`.
    language : str
        A Common Voice locale.
    digits : bool
        Whether 0 to 9 belong to the alphabet (when numbers are not spelled out).

    Returns
    -------
    str
        The unknown characters; empty where the table defines no alphabet.
    """
    letters = rules_for(language).letters
    if letters is None:
        return ""
    return "".join(sorted(set(text) - set(letters + " '" + ("0123456789" if digits else ""))))


def unread_symbols(text: str, language: str) -> str:
    """Return the symbols of a raw text that are spoken but have no words in the table, each once, sorted.

    Removing "$" from "$ 5" would leave a transcript that differs from what was said.

    Parameters
    ----------
    text : str
        A raw sentence.
    language : str
        A Common Voice locale.

    Returns
    -------
    str
        The symbols, for example ``"$+"``.
    """
    known = rules_for(language).symbols
    return "".join(
        sorted(
            {
                c
                for c in text.translate(_UNIFY)
                if c not in known and (c in _SPOKEN_PUNCTUATION or _spoken_symbol(c))
            }
        )
    )


def _spoken_symbol(character: str) -> bool:
    return unicodedata.category(character) in {"Sc", "Sm", "So", "No"} and character not in _SILENT_SYMBOLS


def _lower(text: str, rules: Rules) -> str:
    if rules.casing == "turkic":
        text = text.replace("I", "ı").replace("İ", "i")
    return text.lower()


def _keep(character: str, rules: Rules) -> str:
    """Map one lowered character to what stays of it: itself, its folded form, a space, or nothing."""
    if character in " '" or (rules.letters and character in rules.letters):
        return character
    category = unicodedata.category(character)
    if category in {"Cf", "Mn", "Me"}:
        # Invisible signs vanish; marks stay only where the script is open or the alphabet names them (above).
        return character if category == "Mn" and rules.letters is None else ""
    if category[0] in "PSZC" or category == "No":
        return " "
    if rules.letters is None:
        return character
    base = "".join(c for c in unicodedata.normalize("NFD", character) if not unicodedata.combining(c))
    folded = "".join(_FOREIGN.get(c, c) for c in base)
    return folded if folded and all(c in rules.letters for c in folded) else character


def _apostrophes(text: str, rules: Rules) -> str:
    """Drop apostrophes that serve as quotes; treat those between two letters by the rules."""
    inner = {"keep": "'", "join": "", "space": " "}[rules.apostrophe]
    text = re.sub(r"(?<=\S)'+(?=[^\s'])", "\0", text)
    return text.replace("'", " ").replace("\0", inner)


def _spell_numbers(text: str, language: str, rules: Rules) -> str:
    if not any(c.isdecimal() for c in text):
        return text
    if rules.numbers is None:
        raise NumberError(
            f"digits in {text.strip()!r}: num2words does not know {language!r}, write them as words in the "
            f"text or give its code as numbers= in the language's entry"
        )
    if rules.dot_ordinals and (ordinal := re.search(r"\d+\.(?=\s+\w)", text)):
        raise NumberError(
            f"{ordinal.group(0)!r} is an ordinal, whose ending depends on the grammar: write it as words"
        )
    group = r"," if rules.decimal == "." else r"[. \u00a0\u202f]"
    ending = rf"(?:({rules.ordinals})(?!\w))?" if rules.ordinals else "()"
    pattern = rf"(\d{{1,3}}(?:{group}\d{{3}})+(?!\d)|\d+)(?:{re.escape(rules.decimal)}(\d+))?{ending}"
    for match in re.finditer(pattern, text):
        _check_alone(match, text)
    return re.sub(pattern, lambda match: f" {_number_words(match, language, rules)} ", text)


def _check_alone(match: re.Match[str], text: str) -> None:
    """Refuse a number that letters make another word of, as in 1990s, 20er, 20:e or l'1; 3d and mp3 are spelled."""
    before, after = text[: match.start()], text[match.end() :]
    ending = re.match(r"(:?)([^\W\d_]+)|-[\u0400-\u04ff]{1,3}(?!\w)", after)
    # Scripts without case write words and numbers together as a matter of course.
    cased = ending is not None and ending[0][-1].lower() != ending[0][-1].upper()
    letter_alone = (
        cased and ending[2] is not None and not ending[1] and len(ending[2]) == 1 and ending[2] != "s"
    )
    if (cased and not letter_alone) or re.search(r"[^\W\d_]['\u2019]$", before):
        word = re.search(r"\S*$", before).group() + match.group() + re.match(r"\S*", after).group()
        raise NumberError(f"{word!r} is a number with letters, which may be another word: write it as words")


def _number_words(match: re.Match[str], language: str, rules: Rules) -> str:
    whole, fraction, ending = match.group(1), match.group(2), match.group(3)
    digits = "".join(str(int(c)) for c in whole if c.isdecimal())
    code = str(rules.numbers)
    if fraction:
        if not rules.point:
            raise NumberError(f"{match.group(0)!r}: no rule for fractions in {language!r}, write it as words")
        # English reads digit by digit; languages with a decimal comma read up to two digits as one number.
        whole_read = rules.decimal == "," and len(fraction) <= 2 and not fraction.startswith("0")
        tail = _words(fraction, code, "cardinal") if whole_read else _digit_by_digit(fraction, code)
        return f"{_words(digits, code, 'cardinal')} {rules.point} {tail}"
    if ending:
        return _words(digits, code, "ordinal")
    if (len(digits) > 1 and digits[0] == "0") or len(digits) > 12:
        return _digit_by_digit(digits, code)
    is_year = rules.years and whole.isdecimal() and len(digits) == 4 and digits[:2] in _YEAR_STARTS
    return _words(digits, code, "year" if is_year else "cardinal")


_YEAR_STARTS = frozenset(str(century) for century in range(11, 20))


def _digit_by_digit(digits: str, code: str) -> str:
    return " ".join(_words(digit, code, "cardinal") for digit in digits)


@lru_cache(maxsize=4096)
def _words(digits: str, code: str, kind: str) -> str:
    """Spell an integer in lower case, perhaps with hyphens and commas, which the caller removes."""
    try:
        return str(num2words(int(digits), lang=code, to=kind)).lower()
    except Exception as error:  # num2words raises a dozen kinds, all meaning that it cannot spell this number
        raise NumberError(
            f"num2words cannot spell {digits} in {code!r} as {kind}: write it as words"
        ) from error
