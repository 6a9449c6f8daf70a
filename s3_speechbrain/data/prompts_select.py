"""Match the prompts' texts with their recordings and keep the pairs that can be trusted."""

from dataclasses import dataclass
from pathlib import Path

from s3_speechbrain.data.prompts_catalogue import SAMPLES_PER_BYTE, SAMPLING_RATE
from s3_speechbrain.data.prompts_source import Tree
from s3_speechbrain.data.prompts_text import Dropped, clean, read_list, sentence_key
from s3_speechbrain.data.text import NumberError, normalise, unknown_characters

# CTC on 20 ms frames needs a few frames, and nobody says a word in less.
SHORTEST_SECONDS = 0.1
# Fast speech has about 20 characters a second; of a text beyond this, some is not in the recording.
MOST_CHARACTERS_PER_SECOND = 25.0


@dataclass(frozen=True)
class Clip:
    """One usable recording: name and line in the list, text, file, length, and the key of its sentence."""

    name: str
    line: int
    text: str
    source: Path
    seconds: float
    key: str


def select(tree: Tree, max_seconds: float) -> tuple[list[Clip], list[Dropped]]:
    """Match texts and recordings and keep the pairs that can be trusted.

    Parameters
    ----------
    tree : Tree
        One language's files.
    max_seconds : float
        Longer recordings are dropped.

    Returns
    -------
    clips, dropped : list of Clip, list of Dropped
        Every line and every recording is in one of the two; clips are sorted by name.
    """
    entries, dropped = read_list(tree.text_list, tree.language)
    recordings = tree.recordings()
    # The lists and the files disagree on capitals here and there ("digits/1f", "digits/1F").
    by_lower = {name.lower(): name for name in recordings}
    clips, used = [], set()
    for entry in entries:
        name = entry.name if entry.name in recordings else by_lower.get(entry.name.lower(), "")
        used.add(name)
        text, reason = clean(entry, tree.language)
        if reason is None and not name:
            reason = "no recording"
        if reason is None:
            seconds = recordings[name].stat().st_size * SAMPLES_PER_BYTE / SAMPLING_RATE
            spoken, reason = judge(text, tree.language, seconds, max_seconds)
        if reason is None:
            clips.append(Clip(name, entry.line, text, recordings[name], seconds, sentence_key(spoken)))
        else:
            dropped.append(Dropped(entry.line, entry.name, entry.text, reason))
    dropped += [Dropped(0, name, "", "recording without text") for name in recordings if name not in used]
    return sorted(clips, key=lambda clip: clip.name), dropped


def judge(text: str, language: str, seconds: float, max_seconds: float) -> tuple[str, str | None]:
    """Normalise a sentence; returns it with None, or with the reason why the pair cannot be used."""
    try:
        spoken = normalise(text, language)
    except NumberError:
        return "", "number that cannot be spelled out"
    if not sentence_key(spoken):
        return spoken, "no words"
    if unknown_characters(spoken, language):
        return spoken, "letters of another alphabet"
    if seconds < SHORTEST_SECONDS:
        return spoken, f"shorter than {SHORTEST_SECONDS:g} s"
    if seconds > max_seconds:
        return spoken, f"longer than {max_seconds:g} s"
    if len(spoken) > MOST_CHARACTERS_PER_SECOND * seconds:
        return spoken, "more text than the recording can hold"
    return spoken, None
