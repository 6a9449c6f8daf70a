"""Read the prompts' text lists, repair or drop what is wrong in them, and split by sentence."""

import gzip
import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from s3_speechbrain.data.prompts_repairs import NOT_SPEECH, RENAMED, repair

ENTRY = re.compile(r"^(?P<name>[^\s:]+):\s*(?P<text>.*)$")
BRACKETED = re.compile(r"\[[^\]]*\]|\([^)]*\)|<[^>]*>|\{[^}]*\}")
# "dash [-]" shows the character meant: no letter inside, so nothing of it is spoken.
SHOWN_CHARACTER = re.compile(r"\[[^\w\]]*\]")
NAME_INSIDE = re.compile(r"[a-z]+(?:-[a-z0-9]+)+:\s")
# "323" may be read digit by digit or as one number.
LONG_NUMBER = re.compile(r"\d{3}")
LOST = re.compile(r"\w\?\w|\s\?\s*\w")


@dataclass(frozen=True)
class Entry:
    """One line of a list: its number (from 1), the sound's name, what is said."""

    line: int
    name: str
    text: str


@dataclass(frozen=True)
class Dropped:
    """A row that is left out, and why; `line` is 0 for audio that no line names."""

    line: int
    name: str
    text: str
    reason: str

    def as_dict(self) -> dict[str, int | str]:
        """Return the row for the report."""
        return asdict(self)


def read_list_bytes(path: Path) -> bytes:
    """Return a text list's bytes, unpacked where it is gzipped."""
    raw = path.read_bytes()
    return gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw


def read_list(path: Path, language: str) -> tuple[list[Entry], list[Dropped]]:
    """Read `name: text` lines; blank lines and `;` comments are no entries.

    Parameters
    ----------
    path : Path
        `core-sounds-LANGUAGE.txt`, plain or gzipped.
    language : str
        For the known errors of each list.

    Returns
    -------
    entries, dropped : list of Entry, list of Dropped
        Every name at most once: the first line that names it counts.
    """
    entries: dict[str, Entry] = {}
    dropped = []
    # Single bytes that are not UTF-8 become U+FFFD, which `clean` treats like a lost accent.
    text = read_list_bytes(path).decode("utf-8-sig", errors="replace")
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith(";"):
            continue
        match = ENTRY.match(line)
        if match is None:
            dropped.append(Dropped(number, "", line.strip(), "not of the form 'name: text'"))
            continue
        name, said = match["name"], match["text"].strip()
        name = RENAMED.get((language, name, said), name)
        if name in entries:
            dropped.append(Dropped(number, name, said, "name listed twice"))
        else:
            entries[name] = Entry(number, name, said)
    return list(entries.values()), dropped


def clean(entry: Entry, language: str) -> tuple[str, str | None]:
    """Repair a text where that is certain, or say why the entry cannot be used.

    Parameters
    ----------
    entry : Entry
        A line of the list.
    language : str
        Selects the tables of repairs.

    Returns
    -------
    text, reason : str, str or None
        The text to use, and None; or the listed text and the reason for dropping it.
    """
    if entry.name in NOT_SPEECH or entry.name.startswith("silence/"):
        return entry.text, "tone or silence"
    text = SHOWN_CHARACTER.sub(" ", entry.text)
    if BRACKETED.search(text):
        spoken = any(map(str.isalnum, BRACKETED.sub("", text)))
        return entry.text, "note in brackets, unclear what is spoken" if spoken else "tone or silence"
    if NAME_INSIDE.search(text):
        return entry.text, "several entries on one line"
    if LONG_NUMBER.search(text):
        return entry.text, "long number, unclear how it is read"
    text = repair(unicodedata.normalize("NFC", text), language)
    if "\ufffd" in text or LOST.search(text):
        return entry.text, "lost accent"
    return " ".join(text.split()), None


def sentence_key(normalised: str) -> str:
    """Return letters and digits only, without case and accents.

    Sentences that differ only by a missing accent or a space count as the same sentence when splitting,
    because the lists spell the same words both ways.
    """
    plain = unicodedata.normalize("NFKD", normalised.casefold())
    return "".join(character for character in plain if character.isalnum())


def split_sentences(
    keys: Sequence[str], seconds: Sequence[float], train_seconds: float, seed: int
) -> list[str]:
    """Assign every clip to a split; clips with the same key always share it.

    Sentences are ordered by a hash of seed and key, so neither the order of files nor the machine matters,
    and a corrected text moves few others. The first ones fill train, the rest is halved.

    Parameters
    ----------
    keys : sequence of str, length N
        `sentence_key` of each clip.
    seconds : sequence of float, length N
        Length of each clip.
    train_seconds : float
        Aim for train; at most 60 % of all there is.
    seed : int
        Another seed, another draw.

    Returns
    -------
    list of str, length N
        "train", "dev" or "test".
    """
    length: dict[str, float] = defaultdict(float)
    for key, duration in zip(keys, seconds, strict=True):
        length[key] += duration
    order = sorted(length, key=lambda key: hashlib.sha256(f"{seed}:{key}".encode()).digest())
    total = sum(length[key] for key in order)
    train_end = min(train_seconds, 0.6 * total)
    dev_end = train_end + (total - train_end) / 2
    split_of, start = {}, 0.0
    for key in order:
        # The middle of a sentence decides, so that a long one at a border falls to the nearer side.
        middle = start + length[key] / 2
        split_of[key] = "train" if middle < train_end else "dev" if middle < dev_end else "test"
        start += length[key]
    return [split_of[key] for key in keys]


def count_reasons(dropped: Iterable[Dropped]) -> dict[str, int]:
    """Count dropped rows by reason, most frequent first."""
    counts: dict[str, int] = defaultdict(int)
    for row in dropped:
        counts[row.reason] += 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
