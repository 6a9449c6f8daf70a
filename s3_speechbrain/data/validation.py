"""What can be wrong with a row of speech data, and how each fault is found."""

import csv
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import soundfile

from s3_speechbrain.data.text import NumberError, normalise, unknown_characters, unread_symbols
from s3_speechbrain.errors import UserError

# Fault class -> what it means, in the order of the checks: a row is dropped by the first that it fails.
FAULTS: dict[str, str] = {
    "invalid_utf8": "the line holds bytes that are not UTF-8",
    "wrong_field_count": "fields differ in number from the header, as after broken quoting or a line break",
    "bad_clip_name": "no file name, one that leads outside the clips folder, or one holding '$'",
    "wrong_language": "the locale column names another language",
    "empty_text": "no sentence",
    "unread_symbol": "a spoken symbol without words in the language's table ($, +, °)",
    "unspelled_number": "digits that num2words cannot spell in the language, or that letters make another word of "
    "(`1990s`, `20:e`)",
    "empty_after_normalisation": "nothing is left of the sentence (only punctuation)",
    "unknown_characters": "letters outside the language's alphabet are left",
    "duplicate_clip": "the clip was already listed, here or in a split that goes first (test, dev, train)",
    "sentence_in_other_split": "the sentence is also in test or dev; it stays there and leaves train",
    "missing_audio": "the audio file does not exist",
    "zero_length_audio": "the audio file is empty or holds no samples",
    "unreadable_audio": "the header of the audio file cannot be read",
    "too_short": "shorter than min_seconds",
    "too_long": "longer than max_seconds",
    "text_longer_than_frames": "more characters plus adjacent repeats than encoder frames: CTC has no path",
}


@dataclass(frozen=True)
class Candidate:
    """A row on its way into a manifest: where it was read, its clip and its text."""

    split: str
    where: str
    id: str
    audio: Path
    wav: str
    sentence: str
    locale: str = ""
    text: str = ""
    duration: float = 0.0


class Drop(NamedTuple):
    """A row that was dropped: ``where`` is file:line, ``reason`` a key of `FAULTS`."""

    split: str
    where: str
    reason: str
    clip: str
    detail: str


@dataclass(frozen=True)
class Limits:
    """Bounds on clips in seconds, and the encoder's frame rule (50 Hz from 16 kHz)."""

    min_seconds: float
    max_seconds: float
    sampling_rate: int = 16000
    stride: int = 320


class Row(NamedTuple):
    """One line of a table: its place (file:line) and its fields by column name."""

    where: str
    fields: Mapping[str, str]


def read_table(path: Path, required: Iterable[str], split: str) -> tuple[list[Row], list[Drop]]:
    """Read a tab-separated table by column name, line by line.

    Quotes are ordinary characters: Common Voice does not quote, and its sentences hold unbalanced quotes that
    would swallow the lines after them.

    Parameters
    ----------
    path : pathlib.Path
        The tsv file with a header line.
    required : iterable of str
        Columns that must be there.
    split : str
        Name of the split, for the report.

    Returns
    -------
    rows, drops : list of Row, list of Drop
        The well-formed lines, and the lines with invalid bytes or a wrong number of fields.

    Raises
    ------
    UserError
        When the file or a required column is missing.
    """
    if not path.is_file():
        raise UserError(
            f"missing {path}: give the folder or tar as downloaded, with {path.name} in the locale folder"
        )
    lines = path.read_bytes().split(b"\n")
    header = _fields(lines[0].decode("utf-8-sig", "replace"))
    missing = [name for name in required if name not in header]
    if missing:
        raise UserError(
            f"{path}:1: no column {' and '.join(missing)}; a Common Voice table has {', '.join(required)}, "
            f"separated by tabs, this one has: {', '.join(header)[:200]}"
        )
    rows, drops = [], []
    for number, raw in enumerate(lines[1:], start=2):
        if not raw.strip(b"\r"):
            continue
        where = f"{path}:{number}"
        try:
            fields = _fields(raw.decode("utf-8"))
        except UnicodeDecodeError as error:
            drops.append(
                Drop(split, where, "invalid_utf8", "", f"byte {error.start} of the line: {error.reason}")
            )
            continue
        if len(fields) != len(header):
            drops.append(
                Drop(split, where, "wrong_field_count", "", f"{len(fields)} fields, header has {len(header)}")
            )
            continue
        rows.append(Row(where, dict(zip(header, fields, strict=True))))
    return rows, drops


def _fields(line: str) -> list[str]:
    # QUOTE_NONE is a plain split; the csv module would also limit the length of a field.
    return line.rstrip("\r").split("\t")


def check_text(candidate: Candidate, language: str, spell_numbers: bool = True) -> Candidate | Drop:
    """Clean the sentence of a candidate and find what is wrong with it.

    Parameters
    ----------
    candidate : Candidate
        A row as read.
    language : str
        The locale that the row should have.
    spell_numbers : bool
        Passed on to `normalise`.

    Returns
    -------
    Candidate or Drop
        The candidate with its clean text, or why it is dropped.
    """

    def drop(reason: str, detail: str) -> Drop:
        return Drop(candidate.split, candidate.where, reason, candidate.id, detail)

    if candidate.locale and candidate.locale != language:
        return drop("wrong_language", f"locale is {candidate.locale!r}, wanted {language!r}")
    if not candidate.sentence.strip():
        return drop("empty_text", "no sentence")
    symbols = unread_symbols(candidate.sentence, language)
    if symbols:
        return drop(
            "unread_symbol", f"no words for {symbols!r}: add them to symbols= of the language's entry"
        )
    try:
        text = normalise(candidate.sentence, language, spell_numbers)
    except NumberError as error:
        return drop("unspelled_number", str(error))
    if not text:
        return drop("empty_after_normalisation", f"{candidate.sentence!r} holds no letters")
    unknown = unknown_characters(text, language, digits=not spell_numbers)
    if unknown:
        return drop("unknown_characters", f"{unknown!r} in {text!r}")
    return replace(candidate, text=text)


def ctc_frames_needed(text: str) -> int:
    """Return the fewest frames on which CTC can emit a text: its characters, and a blank per adjacent repeat.

    Examples
    --------
    >>> ctc_frames_needed("hello")  # h e l blank l o
    6
    """
    return len(text) + sum(a == b for a, b in itertools.pairwise(text))


def encoder_frames(seconds: float, limits: Limits) -> int:
    """Return how many frames a wav2vec2 encoder surely makes of a clip (samples // 320 - 1 at 16 kHz)."""
    return round(seconds * limits.sampling_rate) // limits.stride - 1


def read_duration(path: Path) -> float:
    """Return the length in seconds from the header of a sound file (wav, flac, ogg, opus, mp3)."""
    return soundfile.info(str(path)).duration


def check_clip(candidate: Candidate, limits: Limits, known: float | None = None) -> Candidate | Drop:
    """Find what is wrong with the audio of a candidate, and whether its text fits into it.

    Parameters
    ----------
    candidate : Candidate
        A row with clean text.
    limits : Limits
        Bounds on the length.
    known : float or None
        Its length in seconds where a table gives it; None reads the header of the file.

    Returns
    -------
    Candidate or Drop
        The candidate with its duration, or why it is dropped.
    """

    def drop(reason: str, detail: str) -> Drop:
        return Drop(candidate.split, candidate.where, reason, candidate.id, detail)

    audio = candidate.audio
    if not audio.is_file():
        return drop("missing_audio", f"no file {audio}")
    if audio.stat().st_size == 0:
        return drop("zero_length_audio", f"{audio} has 0 bytes")
    try:
        seconds = read_duration(audio) if known is None else known
    except (soundfile.SoundFileError, OSError, RuntimeError) as error:
        return drop("unreadable_audio", f"not a readable sound file: {' '.join(str(error).split())}")
    if seconds <= 0:
        return drop("zero_length_audio", f"{audio} has no samples")
    if seconds < limits.min_seconds:
        return drop("too_short", f"{seconds:.2f} s, at least {limits.min_seconds:g} s")
    if seconds > limits.max_seconds:
        return drop("too_long", f"{seconds:.2f} s, at most {limits.max_seconds:g} s")
    frames, needed = encoder_frames(seconds, limits), ctc_frames_needed(candidate.text)
    if needed > frames:
        return drop("text_longer_than_frames", f"needs {needed} frames, {seconds:.2f} s give {frames}")
    return replace(candidate, duration=seconds)


def drop_repeats(
    splits: Mapping[str, list[Candidate]], disjoint_sentences: bool
) -> tuple[dict[str, list[Candidate]], list[Drop]]:
    """Drop clips listed twice and, if wanted, sentences shared between splits.

    Test goes first, then dev, then train: what an earlier split holds leaves the later one.

    Parameters
    ----------
    splits : mapping of str to list of Candidate
        Rows with clean text, by split.
    disjoint_sentences : bool
        Also drop sentences that an earlier split holds (repeats within one split stay).

    Returns
    -------
    splits, drops : dict, list of Drop
        What is left, and what was dropped.
    """
    kept: dict[str, list[Candidate]] = {}
    drops = []
    clips: dict[str, str] = {}
    sentences: dict[str, str] = {}
    for split in sorted(splits, key=split_priority):
        kept[split] = []
        for row in splits[split]:
            if row.id in clips:
                drops.append(Drop(split, row.where, "duplicate_clip", row.id, f"also at {clips[row.id]}"))
                continue
            clips[row.id] = row.where
            if disjoint_sentences and row.text in sentences:
                detail = f"{row.text!r} also at {sentences[row.text]}"
                drops.append(Drop(split, row.where, "sentence_in_other_split", row.id, detail))
                continue
            kept[split].append(row)
        for row in kept[split]:
            sentences.setdefault(row.text, row.where)
    return kept, drops


def split_priority(split: str) -> tuple[int, str]:
    """Return the sorting key that puts test splits first, then dev, then train."""
    order = [index for index, start in enumerate(("test", "dev", "train")) if split.startswith(start)]
    return (order[0] if order else 3, split)


def read_durations(path: Path) -> dict[str, float]:
    """Read ``clip_durations.tsv`` (columns ``clip``, ``duration[ms]``) into seconds by clip name.

    A missing file or a damaged line gives no entry: those clips are measured from their headers.
    """
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        durations = {}
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            try:
                durations[row["clip"]] = float(row["duration[ms]"]) / 1000.0
            except (KeyError, TypeError, ValueError):
                continue
    return durations
