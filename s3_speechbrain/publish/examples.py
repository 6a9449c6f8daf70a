"""Example clips: copied only where the licence of the corpus lets anyone pass them on."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from s3_speechbrain.data.prompts_catalogue import VOICES
from s3_speechbrain.publish.source import Clip

PROMPTS = "prompts"
NOTICE = "ATTRIBUTION.md"  # beside the clips of a prepared prompts corpus


@dataclass(frozen=True)
class Example:
    """A clip in a published folder.

    Attributes
    ----------
    file : str
        Its name there.
    language, text : str
        What is said.
    """

    file: str
    language: str
    text: str


def attribution(corpus: str, language: str) -> str | None:
    """Return what a corpus's licence asks to be said about it, where that is known."""
    voice = VOICES.get(language) if corpus == PROMPTS else None
    if voice is None:
        return None
    licence, address = voice.licence
    return f"Asterisk core sounds, {language}. {voice.credit} Licence: [{licence}]({address})."


def add_example(folder: Path, corpus: str, language: str, clips: list[Clip]) -> Example | None:
    """Copy one clip into a folder if it may be passed on; None if it may not, or is not known to.

    The prompts corpus may (CC BY-SA 3.0 and CC BY 3.0, with attribution). Common Voice's terms differ by
    language and release, and ask not to identify speakers; LibriSpeech is left out for its size.
    """
    # The corpus's name is what the run was told; the file of its preparation shows that it is the one.
    clips = [clip for clip in clips if (clip.audio.parents[1] / NOTICE).is_file()]
    if attribution(corpus, language) is None or not clips:
        return None
    clip = max(clips, key=lambda clip: (2 <= len(clip.reference.split()) <= 8, -len(clip.reference)))
    name = f"example-{language}{clip.audio.suffix}"
    shutil.copyfile(clip.audio, folder / name)
    return Example(name, language, clip.reference)
