"""Prompts with tones as voices, laid out as the packages of a language leave them."""

from pathlib import Path

import av
import numpy as np

from s3_speechbrain.data.prompts import prepare_prompts

SPLITS = ("train", "dev", "test")
# name -> (text, seconds); None: listed without recording, or recorded without text
WORDS = ["alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliet"]
ENGLISH = {f"phonetic/{word[0]}_p": (f"{word}.", 1.0) for word in WORDS} | {
    "goodbye": ("Goodbye, my friend.", 1.5),
    "vm-goodbye": ("Goodbye my friend!", 1.5),
    "digits/1f": ("number 1", 1.0),
    "beep": ("[this is a simple beep tone]", 0.4),
    "menu": ("A menu that goes on.", 3.0),
    "gone": ("No file has this.", None),
    "is": ("Is.", 0.0),
    "unlisted": (None, 0.5),
}


def g722(seconds: float, hertz: float = 440.0) -> bytes:
    if seconds == 0:
        return b""
    encoder = av.CodecContext.create("g722", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 16000, "mono", "s16"
    time = np.arange(round(seconds * 16000)) / 16000
    tone = (10000 * np.sin(2 * np.pi * hertz * time)).astype(np.int16)[None]
    frame = av.AudioFrame.from_ndarray(tone, format="s16", layout="mono")
    frame.sample_rate = 16000
    return b"".join(bytes(packet) for packet in encoder.encode(frame))


def build_tree(folder: Path, language: str = "en", entries: dict | None = None, hertz: float = 440.0) -> Path:
    """Lay out files as `dpkg -x` leaves the two packages of a language."""
    name = f"asterisk-core-sounds-{language}"
    sounds = folder / f"usr/share/asterisk/sounds/{language}_XX_f_Nobody"
    document = folder / f"usr/share/doc/{name}"
    document.mkdir(parents=True)
    lines = ["; a test list"]
    for sound, (text, seconds) in (ENGLISH if entries is None else entries).items():
        if text is not None:
            lines.append(f"{sound}: {text}")
        if seconds is not None:
            path = sounds / f"{sound.replace('1f', '1F')}.g722"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(g722(seconds, hertz))
    (document / f"core-sounds-{language}.txt").write_text("\n".join(lines) + "\n", "utf-8")
    (document / "copyright").write_text("Recorded by Nobody\n")
    return folder


def prepare(save_folder, source, **options):
    """Prepare English with limits that fit the tones."""
    options = {"languages": ["en"], "train_minutes": 0.1, "max_seconds": 2.5, "progress": False} | options
    return prepare_prompts(save_folder, source=source, **options)
